{{/* Names, labels, and what is computed from the listeners. */}}

{{- define "queuepost.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "queuepost.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "queuepost.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "queuepost.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "queuepost.selectorLabels" -}}
app.kubernetes.io/name: {{ include "queuepost.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "queuepost.labels" -}}
{{ include "queuepost.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: bridge
app.kubernetes.io/part-of: queuepost
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object; "annotations" adds to the common ones, "labels" likewise. */}}
{{- define "queuepost.metadata" -}}
{{- $ := .root -}}
name: {{ .name | default (include "queuepost.fullname" $) }}
namespace: {{ include "queuepost.namespace" $ }}
labels:
  {{- include "queuepost.labels" $ | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
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

{{/* The longest time-out of a listener, in seconds. */}}
{{- define "queuepost.longestTimeout" -}}
{{- $longest := 0 }}
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
{{- $_ := set $config "log" .Values.log }}
{{- toYaml $config }}
{{- end }}

{{/* Name of a listener, as queuepost makes it from its queue. */}}
{{- define "queuepost.listenerName" -}}
{{- if .name -}}
{{ .name }}
{{- else -}}
{{ regexReplaceAll "[^a-z0-9]" (.queue | splitList "/" | last | splitList ":" | last | lower) "-" | trimAll "-" | trunc 63 | trimSuffix "-" }}
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
