"""What Grafana wants around a panel's title and queries: JSON, colours, variables, annotations. `generate.py` has the dashboards."""

TAG = "queuepost"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
PALETTE = {
    "green": "#56A64B", "orange": "#FF9830", "red": "#E02F44", "blue": "#3274D9", "purple": "#8F3BB8", "yellow": "#F2CC0C",
    "grey": "#8E8E8E", "teal": "#37A2B8",
}
#: What a legend may say has one colour wherever it stands: by the label it shows, or as it is written.
COLORS = {
    "{{outcome}}": {
        "success": "green", "throttled": "orange", "failed": "red", "overloaded": "purple", "unavailable": "purple", "timed_out": "blue",
        "unsent": "grey", "rejected": "teal",
    },
    "{{code}}": {"200": "green", "429": "orange", "500": "red", "503": "purple", "422": "teal"},
    "{{stage}}": {"delivering": "green", "waiting": "orange", "held": "red", "settling": "blue"},
    "{{result}}": {"extended": "green", "failed": "orange", "lost": "red"},
    "deleted": "green", "parked": "orange", "deferred": "red", "released": "grey", "dead-lettered": "purple", "abandoned": "blue",
    "first receive": "green", "again": "red", "in use": "blue", "limit": "red", "reserved": "grey", "adaptive limit": "orange",
    "visible": "blue", "delayed": "grey", "in flight, working": "green", "in flight, parked by us": "orange", "p50": "green",
    "p95": "orange", "p99": "red",
}


class Panel:
    """One picture. `width` of 24; `queries` are pairs of an expression and its legend."""

    def __init__(self, kind, title, description, queries, unit, width=8, height=8, **more):
        self.kind, self.title, self.description, self.queries = kind, title, description, queries
        self.unit, self.width, self.height, self.more = unit, width, height, more

    def json(self, number, x, y):
        instant = self.kind == "stat"
        targets = [
            {
                "datasource": SOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend or "__auto", "refId": chr(65 + i),
                "instant": instant, "range": not instant, **({"format": "heatmap"} if self.kind == "heatmap" else {}),
            }
            for i, (expr, legend) in enumerate(self.queries)
        ]
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.description, "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height}, "targets": targets,
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()}, "options": self._options(),
        }

    def _defaults(self):
        found = {"unit": self.unit, "decimals": self.more.get("decimals"), "min": self.more.get("min", 0), "max": self.more.get("max")}
        found = {key: value for key, value in found.items() if value is not None}
        steps = self.more.get("steps", [])
        found["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": self.more.get("base", "green"), "value": None}, *({"color": c, "value": v} for v, c in steps)],
        }
        if self.kind == "timeseries":
            stack = self.more.get("stack", False)
            found["custom"] = {
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 60 if stack else 8, "showPoints": "never", "spanNulls": False,
                "stacking": {"mode": "normal" if stack else "none"},
                "thresholdsStyle": {"mode": "line" if steps else "off"},
            }
            # By name: a listener has the same colour in every panel.
            found["color"] = {"mode": "palette-classic-by-name"}
        elif self.kind == "state-timeline":
            found["custom"] = {"fillOpacity": 80, "lineWidth": 0}
            found["color"] = {"mode": "thresholds"}
        elif self.kind == "stat":
            found["color"] = {"mode": "thresholds"}
            found["noValue"] = self.more.get("none", "–")
        if mappings := self.more.get("values"):
            options = {value: {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(mappings.items())}
            found["mappings"] = [{"type": "value", "options": options}]
        return found

    def _overrides(self):
        """Fixed colours of this panel's lines."""
        if self.kind != "timeseries":
            return []
        colors = {}
        for _, legend in self.queries:
            found = COLORS.get(legend, {})
            colors.update(found if isinstance(found, dict) else {legend: found})
        return [
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": PALETTE[color]}}],
            }
            for name, color in colors.items()
        ]

    def _options(self):
        if self.kind == "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value", "graphMode": "none",
                "justifyMode": "auto", "textMode": self.more.get("text", "auto"),
            }
        if self.kind == "heatmap":
            return {
                "calculate": False, "yAxis": {"unit": self.unit, "axisPlacement": "left"}, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                "tooltip": {"mode": "single", "yHistogram": False}, "legend": {"show": True}, "cellGap": 1, "filterValues": {"le": 1e-9},
            }
        legend = {"displayMode": "table", "placement": "right" if self.width > 8 else "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]}
        if self.kind == "state-timeline":
            return {"showValue": "never", "rowHeight": 0.8, "mergeValues": True, "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "single"}}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def stat(title, description, expr, unit="short", width=3, **more):
    return Panel("stat", title, description, [(expr, "")], unit, width, 4, **more)


def names(title, description, expr, legend, width=3):
    """The names of what should not be there, in red; `none` where there is nothing."""
    return Panel("stat", title, description, [(expr, legend)], "none", width, 4, steps=[(1, "red")], none="none", text="name")


def lines(title, description, queries, unit, width=8, **more):
    return Panel("timeseries", title, description, queries, unit, width, **more)


def heatmap(title, description, expr, unit, width=8, **more):
    return Panel("heatmap", title, description, [(expr, "{{le}}")], unit, width, **more)


def variable(name, label, query, *, every=True, all_value=".+", hide=0):
    """A query variable; `every` lets it be all of its values."""
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "hide": hide, "refresh": 2, "sort": 1, "regex": "",
        "query": {"query": query, "refId": name}, "definition": query, "multi": every, "includeAll": every,
        **({"allValue": all_value, "current": {"text": ["All"], "value": ["$__all"]}} if every else {"current": {}}),
    }


def variables(one_listener=False, instance=True, price=False):
    where = 'cluster=~"$cluster", namespace=~"$namespace"'
    found = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1, "regex": "", "current": {}},
        variable("cluster", "Cluster", "label_values(queuepost_build_info, cluster)", all_value=".*"),
        variable("namespace", "Namespace", 'label_values(queuepost_build_info{cluster=~"$cluster"}, namespace)', all_value=".*"),
        variable("job", "Job", f"label_values(queuepost_build_info{{{where}}}, job)"),
    ]
    if instance:
        found.append(variable("instance", "Instance", f'label_values(queuepost_build_info{{{where}, job=~"$job"}}, instance)'))
    query = f'label_values(queuepost_workers_limit{{{where}, job=~"$job"}}, listener)'
    found.append(variable("listener", "Listener", query, every=not one_listener))
    if one_listener:
        query = f'label_values(queuepost_gate_state{{{where}, job=~"$job", listener="$listener"}}, endpoint)'
        found.append(variable("endpoint", "Endpoint", query, every=False, hide=2))
    if price:
        found.append({
            "name": "price", "label": "Dollars for a million requests", "type": "custom", "query": "0.40,0.50", "multi": False, "includeAll": False,
            "hide": 0, "current": {"text": "0.40", "value": "0.40"},
            "options": [{"text": text, "value": text, "selected": text == "0.40"} for text in ("0.40", "0.50")],
        })
    return found


def annotation(name, expr, color, title):
    return {
        "name": name, "datasource": SOURCE, "enable": True, "expr": expr, "iconColor": color, "titleFormat": title, "step": "30s",
        "useValueForTime": False,
    }


def dashboard(name, title, description, rows, templates, range_="now-1h"):
    panels, y = [], 0
    for heading, contents in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": heading, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": []})
        y += 1
        x = height = 0
        for panel in contents:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            panels.append(panel.json(len(panels) + 1, x, y))
            x, height = x + panel.width, panel.height
        y += height
    where = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"'
    return {
        "id": None, "uid": f"queuepost-{name}", "title": title, "description": description, "tags": [TAG], "schemaVersion": 39, "version": 1,
        "editable": False, "refresh": "30s", "time": {"from": range_, "to": "now"}, "timezone": "browser", "graphTooltip": 1,
        "links": [
            {"title": "queuepost", "type": "dashboards", "asDropdown": True, "includeVars": True, "keepTime": True, "tags": [TAG], "targetBlank": False, "icon": "external link", "tooltip": "The other dashboards, with these variables", "url": ""},
        ],
        "templating": {"list": templates},
        "annotations": {"list": [
            annotation("Alerts", 'ALERTS{alertname=~"Queuepost.+", alertstate="firing"}', "red", "{{alertname}} {{listener}}"),
            annotation("Drains", f"max by (instance) (queuepost_draining{{{where}}}) == 1", "purple", "{{instance}} drains"),
            annotation("Versions", f"group by (version, revision) (queuepost_build_info{{{where}}}) unless group by (version, revision) (queuepost_build_info{{{where}}} offset 2m)", "blue", "version {{version}} {{revision}}"),
        ]},
        "panels": panels,
    }
