//! The request of a Matillion job run, as templates: the message that Matillion ETL's own SQS listener takes becomes a call
//! of its REST API.
//!
//! Message: `{group, project, version, environment, job, variables?, gridVariables?}`, as in "Manage SQS Configuration" of
//! Matillion's documentation. Call: "API v1 - Running Jobs", which also wants basic authentication; that is the endpoint's.

/// Keys of a listener and their texts.
pub(super) const MATILLION: &[(&str, &str)] = &[
    ("results.success.format", "matillion"),
    ("results.failure.format", "matillion"),
    (
        "template.path",
        "/rest/v1/group/name/{{ json.group | text }}/project/name/{{ json.project | text }}\
         /version/name/{{ json.version | text }}/job/name/{{ json.job | text }}/run",
    ),
    ("template.query.environmentName", "{{ json.environment | text }}"),
    (
        "template.body",
        "{\"scalarVariables\":{ {%- if json.variables is defined and json.variables is not none %}\
         {% for name, variable in json.variables | items %}\
         {{ name | tojson }}:{{ variable | text | tojson }}{% if not loop.last %},{% endif %}\
         {% endfor %}{% endif %}},\
         \"gridVariables\":{ {%- if json.gridVariables is defined and json.gridVariables is not none %}\
         {% for name, gridVariable in json.gridVariables | items %}{{ name | tojson }}:[\
         {% for gridVariable_row in gridVariable | list %}{{ gridVariable_row | list | tojson }}{% if not loop.last %},{% endif %}{% endfor %}\
         ]{% if not loop.last %},{% endif %}{% endfor %}{% endif %}}}",
    ),
];
