//! The header that carries an endpoint's credentials, from a file or an environment variable.
//!
//! The whole line is the secret, `Name: value`, so any scheme fits and nothing secret stands in the
//! configuration. No problem repeats the line, nor what was written as the file's or the variable's name: people
//! paste the secret itself there.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};

use crate::config::env::{Lookup, is_variable_name, set};
use crate::config::file::{self, File};
use crate::config::problem::{Fault, Place, Report};
use crate::endpoint::AuthHeader;

const EXAMPLE: &str = "one line such as `Authorization: Bearer …`";

/// The header `written` leads to; `None` when there is a problem, which is then in the report.
pub(super) fn header(written: &file::Auth, env: Lookup<'_>, report: &mut Report) -> Option<AuthHeader> {
    match (&written.header_file, &written.header_env) {
        (Some(file), None) => report.parse(Some(file), |path| parse(&from_file(&file.place, path)?)),
        (None, Some(variable)) => report.parse(Some(variable), |name| {
            if !is_variable_name(name) {
                return Err(Fault::new("does not name an environment variable"));
            }
            let line = set(env, name).ok_or_else(|| Fault::new("names a variable that is not set"))?;
            parse(&line)
        }),
        (None, None) => {
            let fault = Fault::new("needs one of `header_file` and `header_env`");
            report.refuse_key(&written.place, &written.key, fault);
            None
        }
        (Some(_), Some(_)) => {
            let fault = Fault::new("has both `header_file` and `header_env`").fix("keep one");
            report.refuse_key(&written.place, &written.key, fault);
            None
        }
    }
}

fn from_file(place: &Place, path: &str) -> Result<String, Fault> {
    std::fs::read_to_string(File::resolve(place, path)).map_err(|error| {
        let fault = Fault::new(format!("names a file that cannot be read ({})", error.kind()));
        match place {
            Place::File { .. } => fault.fix("a relative path starts at the directory of this file"),
            Place::Flag(_) | Place::Variable(_) | Place::CommandLine => fault,
        }
    })
}

fn parse(line: &str) -> Result<AuthHeader, Fault> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.contains(['\r', '\n']) {
        return Err(Fault::new("leads to more than one line").fix(format!("write {EXAMPLE}")));
    }
    let no_header = || Fault::new("does not lead to a header").fix(format!("write {EXAMPLE}"));
    let (name, value) = line.split_once(':').ok_or_else(no_header)?;
    let name: HeaderName = name.trim().parse().map_err(|_| no_header())?;
    if [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(&name) {
        return Err(Fault::new(format!("leads to a header the client sets itself: {name}")));
    }
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| Fault::new("leads to a header with characters that are not allowed in one"))?;
    if value.is_empty() {
        return Err(Fault::new("leads to a header without a value").fix(format!("write {EXAMPLE}")));
    }
    value.set_sensitive(true);
    Ok(AuthHeader { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_sensitive_header() {
        for line in [
            "Authorization: Bearer s3cr3t",
            "authorization:Bearer s3cr3t\n",
            "Authorization:  Bearer s3cr3t \r\n",
        ] {
            let header = parse(line).expect(line);
            assert_eq!(
                (header.name.as_str(), header.value.as_bytes()),
                ("authorization", &b"Bearer s3cr3t"[..])
            );
            assert!(header.value.is_sensitive());
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for line in [
            "",
            "s3cr3t",
            "A: s3cr3t\nB: s3cr3t",
            "s3 cr3t: x",
            "X-Key:",
            "X-Key: s3cr3t\u{7f}",
            "Host: s3cr3t",
        ] {
            let fault = format!("{:?}", parse(line).expect_err(line));
            assert!(!fault.contains("cr3t"), "{fault}");
        }
    }
}
