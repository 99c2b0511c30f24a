//! Problems of templates in the file: all at once, each with its places.

use std::sync::Arc;

use super::*;
use crate::config::file::File;

fn problems(template: &str) -> Vec<String> {
    let source = format!("listeners:\n  - queue: q\n    url: http://h/p\n    template:\n{template}");
    let mut report = Report::default();
    let path: Arc<str> = "f".into();
    let file =
        File::parse(&source, &path, &|name| (name == "HOME").then(|| "s3cr3t".to_owned()), &mut report);
    let listener = file.and_then(|mut file| file.listeners.pop());
    listener.inspect(|listener| {
        listener.template.compile(false, false, &mut report);
    });
    match report.finish() {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn templates_are_compiled_at_the_start_and_every_flaw_is_told_with_its_places() {
    let template = "      path: /a/{{ jsn.a }}\n      query: { q: '{{ body | tojsn }}', r: [1] }\n      headers: { Host: a, 'a b': c, X-A: '{% set x = 1 %}' }\n      body: |\n        ok\n        {{ message.recieve_count }}\n        {{ json. }}\n";
    assert_eq!(
        problems(template),
        [
            "f:5:13: listeners[0].template.path at 1:7 of the template: the variable `jsn` does not exist; did you mean `json`?",
            "f:6:19: listeners[0].template.query.q at 1:11 of the template: the filter `tojsn` does not exist; did you mean `tojson`?",
            "f:6:44: listeners[0].template.query.r must be a single value",
            "f:7:18: listeners[0].template.headers.Host is a header of the connection or of credentials, which a message must not choose",
            "f:7:27: listeners[0].template.headers.… is no name of a header",
            "f:7:42: listeners[0].template.headers.X-A at 1:4 of the template: has `{% set %}`, which does not exist here; there are `if` and `for`",
            "f:9:9: listeners[0].template.body at 3:10 of the template: is no valid template: unexpected end of variable block, expected identifier or integer",
        ]
    );
    assert_eq!(
        problems("      boddy: x\n"),
        ["f:5:7: listeners[0].template.boddy is not a key of the configuration; did you mean `body`?"]
    );
    assert_eq!(problems("      body: '{{ body }}'\n"), [""; 0]);
    assert!(problems("      path: a\n")[0].contains("does not start with `/`"));
    assert_eq!(problems("      {}\n").len(), 1);
}

#[test]
fn no_variable_of_the_environment_gets_into_a_template() {
    assert_eq!(problems("      body: ${HOME} ${UNSET} {{ body }}\n"), [""; 0]);
}
