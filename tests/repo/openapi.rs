//! The document of the admin port's routes: `docs/openapi.json` is what a process serves.

use super::generated;

#[test]
fn the_document_of_the_routes_is_what_a_process_serves() {
    generated::matches("docs/openapi.json", &format!("{:#}\n", queuepost::admin::openapi::document()));
}
