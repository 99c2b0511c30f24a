{{/* Names, labels, and what is computed from the listeners. */}}

{{- define "queuepost.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A Service's name has no dot and begins with a letter, where a release's may have both otherwise. */}}
{{- define "queuepost.fullname" -}}
{{- $full := .Values.fullnameOverride }}
{{- if not $full }}
{{- $name := include "queuepost.name" . }}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- end }}
{{- $full = $full | replace "." "-" }}
{{- if not (regexMatch "^[a-z]" $full) }}
{{- $full = printf "queuepost-%s" $full }}
{{- end }}
{{- $full | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "queuepost.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "queuepost.selectorLabels" -}}
app.kubernetes.io/name: {{ include "queuepost.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels of an object: the chart's, over them "commonLabels" and "more". What selectors and Helm go by stays the chart's. */}}
{{- define "queuepost.labels" -}}
{{- $ := .root -}}
{{- $own := include "queuepost.selectorLabels" $ | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/managed-by" $.Release.Service }}
{{- $labels := dict "app.kubernetes.io/version" $.Chart.AppVersion "app.kubernetes.io/component" "bridge" "app.kubernetes.io/part-of" "queuepost" }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_") }}
{{- mergeOverwrite $labels $.Values.commonLabels (.more | default dict) $own | toYaml }}
{{- end }}

{{/* metadata of an object; "annotations" adds to the common ones, "labels" likewise. */}}
{{- define "queuepost.metadata" -}}
{{- $ := .root -}}
name: {{ .name | default (include "queuepost.fullname" $) | quote }}
namespace: {{ include "queuepost.namespace" $ | quote }}
labels:
  {{- include "queuepost.labels" (dict "root" $ "more" .labels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) $.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "queuepost.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "queuepost.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "queuepost.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else if eq $tag "latest" -}}
{{ fail "image.tag: latest changes under your feet; name a version, or a digest" }}
{{- else -}}
{{ .Values.image.repository }}:{{ $tag }}
{{- end }}
{{- end }}

{{/* The listeners, however they are written, as {"listeners": […]}; and what does not go together. */}}
{{- define "queuepost.listeners" -}}
{{- $v := .Values }}
{{- $short := or $v.queue $v.url }}
{{- if $v.existingConfigMap }}
{{- if or $short $v.listeners $v.endpoints }}
{{- fail "existingConfigMap holds the whole configuration: remove queue, url, listeners and endpoints" }}
{{- end }}
{{- dict "listeners" list | toJson }}
{{- else if and $short $v.listeners }}
{{- fail "queue and url are a listener of their own: write them into listeners" }}
{{- else if $v.listeners }}
{{- dict "listeners" $v.listeners | toJson }}
{{- else if and $v.listenersDir.enabled (not $short) }}
{{- dict "listeners" list | toJson }}
{{- else if not (and $v.queue $v.url) }}
{{- fail "two values are needed: --set queue=URL_OF_THE_QUEUE --set url=URL_OF_THE_ENDPOINT (or listeners, or existingConfigMap)" }}
{{- else }}
{{- dict "listeners" (list (dict "queue" $v.queue "url" $v.url)) | toJson }}
{{- end }}
{{- end }}

{{/* Whole seconds of a duration such as 1h30m, rounded up; "key" says what is wrong with it. */}}
{{- define "queuepost.seconds" -}}
{{- if not (regexMatch "^([0-9]+(ms|s|m|h))+$" .duration) }}
{{- fail (printf "%s: %s is not a duration; write 30s, 5m, 1h30m or 500ms" .key .duration) }}
{{- end }}
{{- $millis := 0 }}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" .duration -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $each := index (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit }}
{{- $millis = add $millis (mul (regexFind "[0-9]+" . | int64) $each) }}
{{- end }}
{{- div (add $millis 999) 1000 }}
{{- end }}

{{/* The longest time-out of a listener, in seconds; of one that is created later the usual one. */}}
{{- define "queuepost.longestTimeout" -}}
{{- $longest := ternary 60 0 .Values.listenersDir.enabled }}
{{- range (include "queuepost.listeners" . | fromJson).listeners }}
{{- $timeout := .timeout | default (ternary "435s" "60s" (hasKey . "algorithm")) }}
{{- $longest = max $longest (include "queuepost.seconds" (dict "key" "timeout of a listener" "duration" $timeout)) }}
{{- end }}
{{- $longest }}
{{- end }}

{{/* shutdown.deadline in seconds. */}}
{{- define "queuepost.deadline" -}}
{{- if .Values.shutdown.deadline }}
{{- include "queuepost.seconds" (dict "key" "shutdown.deadline" "duration" .Values.shutdown.deadline) }}
{{- else if .Values.existingConfigMap }}
{{- fail "existingConfigMap: set shutdown.deadline too, from which the pod's grace period is computed" }}
{{- else }}
{{- add (include "queuepost.longestTimeout" .) 15 }}
{{- end }}
{{- end }}

{{/* The pod's grace period in seconds: the deadline, and ten more to settle and end. */}}
{{- define "queuepost.gracePeriod" -}}
{{- $least := add (include "queuepost.deadline" .) 10 }}
{{- $grace := .Values.terminationGracePeriodSeconds }}
{{- if kindIs "invalid" $grace }}
{{- $least }}
{{- else if lt (int64 $grace) $least }}
{{- fail (printf "terminationGracePeriodSeconds: %d is less than shutdown.deadline + 10 s: pods would be killed in the middle of their POSTs; write %d or more, or nothing, or lower shutdown.deadline" (int64 $grace) $least) }}
{{- else }}
{{- int64 $grace }}
{{- end }}
{{- end }}

{{/* The configuration file. */}}
{{- define "queuepost.config" -}}
{{- $config := include "queuepost.listeners" . | fromJson }}
{{- with .Values.endpoints }}
{{- $_ := set $config "endpoints" . }}
{{- end }}
{{- if .Values.fleet.enabled }}
{{- $fleet := dict "dns" (include "queuepost.fleetDns" .) }}
{{- if .Values.fleet.workers }}
{{- $_ := set $fleet "workers" true }}
{{- end }}
{{- $_ := set $config "fleet" $fleet }}
{{- end }}
{{- $_ := set $config "log" .Values.log }}
{{- toYaml $config }}
{{- end }}

{{/* The headless Service that has an address for each pod. */}}
{{- define "queuepost.fleetName" -}}
{{- printf "%s-fleet" (include "queuepost.fullname" . | trunc 57 | trimSuffix "-") }}
{{- end }}

{{/* Its name for the pods, which the search list of their resolver ends with the cluster's domain. */}}
{{- define "queuepost.fleetDns" -}}
{{- printf "%s.%s.svc" (include "queuepost.fleetName" .) (include "queuepost.namespace" .) }}
{{- end }}

{{/* Most pods of a fleet that can have something to do: the largest cap of a listener. Empty: no bound is known. */}}
{{- define "queuepost.fleetUseful" -}}
{{- $v := .Values }}
{{- $listeners := (include "queuepost.listeners" . | fromJson).listeners }}
{{- $bounds := list }}
{{- range $listeners }}
{{- $endpoint := get $v.endpoints (.endpoint | default "") | default dict }}
{{- $caps := list }}
{{- with $endpoint.sessions }}
{{- $caps = append $caps (int64 .) }}
{{- end }}
{{- with $endpoint.rate_limit }}
{{- $caps = append $caps (.burst | default (ceil .per_second) | int64) }}
{{- end }}
{{- if $v.fleet.workers }}
{{- $caps = append $caps (.workers | default 16 | int64) }}
{{- end }}
{{- if $caps }}
{{- $least := first $caps }}
{{- range $caps }}
{{- $least = min $least . }}
{{- end }}
{{- $bounds = append $bounds $least }}
{{- end }}
{{- end }}
{{- if and $v.fleet.enabled $bounds (eq (len $bounds) (len $listeners)) (not $v.listenersDir.enabled) }}
{{- $most := 1 }}
{{- range $bounds }}
{{- $most = max $most . }}
{{- end }}
{{- $most }}
{{- end }}
{{- end }}

{{/* keda.maxReplicaCount, or as many pods of a fleet as can have something to do. */}}
{{- define "queuepost.maxReplicas" -}}
{{- $most := include "queuepost.fleetUseful" . | default .Values.keda.maxReplicaCount | int64 }}
{{- min $most (int64 .Values.keda.maxReplicaCount) }}
{{- end }}

{{/* Refuses listeners that queuepost would refuse: what a pod would say only once it runs. */}}
{{- define "queuepost.checkListeners" -}}
{{- $v := .Values }}
{{- $names := dict }}
{{- range $index, $listener := (include "queuepost.listeners" . | fromJson).listeners }}
{{- $name := include "queuepost.listenerName" $listener }}
{{- $which := printf "listeners[%d] (%s)" $index $name }}
{{- if hasKey $names $name }}
{{- fail (printf "%s has the name of %s: give one of them a name" $which (get $names $name)) }}
{{- end }}
{{- $_ := set $names $name $which }}
{{- if and .url .endpoint }}
{{- fail (printf "%s has a url and an endpoint: keep one of them" $which) }}
{{- else if not (or .url .endpoint) }}
{{- fail (printf "%s posts to nowhere: it needs a url, or an endpoint of endpoints" $which) }}
{{- else if and .endpoint (not (hasKey $v.endpoints .endpoint)) }}
{{- fail (printf "%s: endpoint %s is not under endpoints, which has: %s" $which .endpoint (keys $v.endpoints | sortAlpha | join ", " | default "none")) }}
{{- else if and .endpoint (not (or .path .algorithm .template .preset)) }}
{{- fail (printf "%s has an endpoint and neither path nor algorithm: write path: / for the endpoint itself" $which) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Name of a listener, as queuepost makes it from its queue. */}}
{{- define "queuepost.listenerName" -}}
{{- if .name -}}
{{ .name }}
{{- else -}}
{{ regexReplaceAll "[^a-z0-9]" (.queue | splitList "/" | last | splitList ":" | last | lower) "-" | trimAll "-" | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Name of the ConfigMap that pods mount: with config.rollout "rollout" other contents have another name. */}}
{{- define "queuepost.configName" -}}
{{- $full := include "queuepost.fullname" . }}
{{- if .Values.existingConfigMap }}
{{- .Values.existingConfigMap }}
{{- else if eq .Values.config.rollout "rollout" }}
{{- printf "%s-%s" ($full | trunc 52 | trimSuffix "-") (include "queuepost.config" . | sha256sum | trunc 10) }}
{{- else }}
{{- $full }}
{{- end }}
{{- end }}

{{/* ConfigMaps of this release that pods of before still mount: name to data. Only the cluster knows; `helm template` has none. */}}
{{- define "queuepost.formerConfigs" -}}
{{- $namespace := include "queuepost.namespace" . }}
{{- $full := include "queuepost.fullname" . }}
{{- $now := include "queuepost.configName" . }}
{{- $found := dict }}
{{- range (lookup "apps/v1" "ReplicaSet" $namespace "").items }}
{{- $owner := first (.metadata.ownerReferences | default list) | default dict }}
{{- if and (eq ($owner.name | default "") $full) (gt (int .spec.replicas) 0) }}
{{- range .spec.template.spec.volumes }}
{{- $name := dig "configMap" "name" "" . }}
{{- if and (eq .name "config") (hasPrefix (printf "%s-" ($full | trunc 52)) $name) (ne $name $now) }}
{{- with lookup "v1" "ConfigMap" $namespace $name }}
{{- if eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" .) $.Release.Name }}
{{- $_ := set $found $name .data }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* minReadySeconds: a number, or the grace period, so that one drain ends before the next begins. */}}
{{- define "queuepost.minReadySeconds" -}}
{{- if eq (toString .Values.minReadySeconds) "drain" }}
{{- include "queuepost.gracePeriod" . }}
{{- else }}
{{- int64 .Values.minReadySeconds }}
{{- end }}
{{- end }}

{{/* progressDeadlineSeconds: longer than a pod has to be ready. */}}
{{- define "queuepost.progressDeadline" -}}
{{- $least := include "queuepost.minReadySeconds" . | int64 }}
{{- $deadline := .Values.progressDeadlineSeconds }}
{{- if kindIs "invalid" $deadline }}
{{- max 600 (add $least 300) }}
{{- else if le (int64 $deadline) $least }}
{{- fail (printf "progressDeadlineSeconds: %d is not more than minReadySeconds (%d): every rollout would be called failed" (int64 $deadline) $least) }}
{{- else }}
{{- int64 $deadline }}
{{- end }}
{{- end }}

{{/* Samples of a scrape that are too many: more than the listeners can have. Empty: no limit. */}}
{{- define "queuepost.sampleLimit" -}}
{{- $listeners := (include "queuepost.listeners" .root | fromJson).listeners }}
{{- if not (kindIs "invalid" .monitor.sampleLimit) }}
{{- int64 .monitor.sampleLimit }}
{{- else if and $listeners (not .root.Values.listenersDir.enabled) }}
{{- add (mul 700 (len $listeners)) 500 }}
{{- end }}
{{- end }}

{{/* As whom KEDA looks at a listener's queue: the name of its TriggerAuthentication, and the role where it is not KEDA's. */}}
{{- define "queuepost.kedaRole" -}}
{{- $name := include "queuepost.listenerName" .listener }}
{{- $own := get .root.Values.keda.roles $name | default dict }}
{{- $role := $own.roleArn | default .listener.role_arn | default "" }}
{{- $external := $own.externalId | default "" }}
{{- if not $own.roleArn }}
{{- $external = $external | default .listener.external_id | default "" }}
{{- end }}
{{- if contains "${" (printf "%s%s" $role $external) }}
{{- fail (printf "keda.enabled: KEDA reads no variables as role_arn and external_id of listener %s do; write keda.roles.%s: {roleArn: …, externalId: …}" $name $name) }}
{{- end }}
{{- $full := include "queuepost.fullname" .root }}
{{- dict "name" (ternary (printf "%s-%s" $full $name) $full (ne $role "")) "roleArn" $role "externalId" $external | toJson }}
{{- end }}

{{/* Workers in use per pod that a listener's trigger aims at. */}}
{{- define "queuepost.workersWanted" -}}
{{- div (mul (.listener.workers | default 16) .root.Values.keda.workersInUsePercent) 100 | max 1 }}
{{- end }}

{{/* The port with metrics and probes. */}}
{{- define "queuepost.metricsPort" -}}
{{- .Values.admin.metricsPort | default .Values.adminPort }}
{{- end }}

{{/* What a pod reads its settings from: variables, files, volumes. */}}
{{- define "queuepost.env" -}}
- { name: QUEUEPOST_CONFIG, value: /etc/queuepost/config/queuepost.yaml }
{{- if .Values.admin.metricsPort }}
- { name: QUEUEPOST_ADMIN_LISTEN, value: "127.0.0.1:{{ .Values.adminPort }}" }
- { name: QUEUEPOST_ADMIN_METRICS_LISTEN, value: "{{ .Values.adminHost }}:{{ .Values.admin.metricsPort }}" }
{{- else }}
- { name: QUEUEPOST_ADMIN_LISTEN, value: "{{ .Values.adminHost }}:{{ .Values.adminPort }}" }
{{- end }}
{{- if .Values.admin.allowChanges }}
- { name: QUEUEPOST_ADMIN_ALLOW_CHANGES, value: "true" }
- { name: QUEUEPOST_ADMIN_TOKEN_FILE, value: {{ printf "/etc/queuepost/admin/%s" .Values.admin.secretKey | quote }} }
{{- end }}
{{- if and .Values.fleet.enabled .Values.existingConfigMap }}
- { name: QUEUEPOST_FLEET_DNS, value: {{ include "queuepost.fleetDns" . | quote }} }
{{- end }}
{{- if .Values.listenersDir.enabled }}
- { name: QUEUEPOST_LISTENERS_DIR, value: /var/lib/queuepost/listeners }
{{- end }}
# The grace period above is at least this and 10 s.
- { name: QUEUEPOST_SHUTDOWN_DEADLINE, value: "{{ include "queuepost.deadline" . }}s" }
- { name: TOKIO_WORKER_THREADS, value: {{ .Values.runtimeThreads | quote }} }
{{- with .Values.aws.region }}
- { name: AWS_REGION, value: {{ . | quote }} }
{{- end }}
{{- with .Values.aws.endpointUrl }}
- { name: AWS_ENDPOINT_URL, value: {{ . | quote }} }
{{- end }}
{{- with .Values.env }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "queuepost.volumeMounts" -}}
# A folder, not a file in it: with subPath changes would never arrive.
- { name: config, mountPath: /etc/queuepost/config, readOnly: true }
{{- if .Values.existingSecret }}
- { name: secrets, mountPath: /etc/queuepost/secrets, readOnly: true }
{{- end }}
{{- if .Values.admin.allowChanges }}
- { name: admin-token, mountPath: /etc/queuepost/admin, readOnly: true }
{{- end }}
{{- if .Values.listenersDir.enabled }}
- { name: listeners, mountPath: /var/lib/queuepost/listeners }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "queuepost.volumes" -}}
- name: config
  configMap:
    name: {{ .config | quote }}
{{- with .root.Values.existingSecret }}
- name: secrets
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- if .root.Values.admin.allowChanges }}
- name: admin-token
  secret:
    secretName: {{ .root.Values.admin.existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.listenersDir }}
{{- if and .enabled .existingClaim }}
- name: listeners
  persistentVolumeClaim:
    claimName: {{ .existingClaim | quote }}
{{- else if .enabled }}
- name: listeners
  emptyDir: { sizeLimit: 64Mi }
{{- end }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* Of pods that run once: no selector of the chart counts them among the pods that consume. */}}
{{- define "queuepost.hookName" -}}
{{- printf "%s-%s" (include "queuepost.fullname" .root | trunc 57 | trimSuffix "-") .for }}
{{- end }}

{{- define "queuepost.hookLabels" -}}
{{- $own := dict "app.kubernetes.io/name" (include "queuepost.hookName" .) "app.kubernetes.io/component" .for }}
{{- mergeOverwrite (include "queuepost.labels" (dict "root" .root) | fromYaml) $own | toYaml }}
{{- end }}

{{- define "queuepost.hookMetadata" -}}
name: {{ include "queuepost.hookName" . | quote }}
namespace: {{ include "queuepost.namespace" .root | quote }}
labels:
  {{- include "queuepost.hookLabels" . | nindent 2 }}
annotations:
  helm.sh/hook: {{ .hook }}
  helm.sh/hook-weight: {{ .weight | default "0" | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  {{- with .root.Values.commonAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "queuepost.hookPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" }}
{{- with index $.Values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{- define "queuepost.hookContainer" -}}
image: {{ include "queuepost.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
resources:
  requests: { cpu: 10m, memory: 32Mi }
  limits: { memory: 128Mi }
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}
