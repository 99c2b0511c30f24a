//! The routes of the admin port, each noted as it is added.
//!
//! A router of axum does not tell what it serves. So a test compares these notes with the document of `OpenAPI`: each route is
//! described there, and nothing else is.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::handler::Handler;
use axum::http::Method;
use axum::http::request::Parts;
use axum::routing::{MethodFilter, on};

use super::View;

/// The name of a listener in a path. What is no text names no listener.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(name.map_or_else(|_| "\u{fffd}".to_owned(), |Path(name)| name)))
    }
}

/// Routes that are added one by one.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<View>>,
    /// Method and path of each.
    known: Vec<(Method, String)>,
}

impl Routes {
    /// What is read by GET, and so by HEAD.
    pub(super) fn get<H: Handler<T, Arc<View>>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.on(MethodFilter::GET, Method::GET, path, handler)
    }

    /// What is changed by POST.
    pub(super) fn post<H: Handler<T, Arc<View>>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.on(MethodFilter::POST, Method::POST, path, handler)
    }

    /// What is replaced as a whole by PUT.
    pub(super) fn put<H: Handler<T, Arc<View>>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.on(MethodFilter::PUT, Method::PUT, path, handler)
    }

    /// What is removed by DELETE.
    pub(super) fn delete<H: Handler<T, Arc<View>>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.on(MethodFilter::DELETE, Method::DELETE, path, handler)
    }

    fn on<H, T>(mut self, filter: MethodFilter, method: Method, path: &str, handler: H) -> Self
    where
        H: Handler<T, Arc<View>>,
        T: 'static,
    {
        self.router = self.router.route(path, on(filter, handler));
        self.known.push((method, path.to_owned()));
        self
    }

    /// Method and path of each route, in the order in which they were added.
    #[cfg(test)]
    pub(super) fn known(&self) -> &[(Method, String)] {
        &self.known
    }

    /// The router of all of them.
    pub(super) fn into_router(self) -> Router<Arc<View>> {
        self.router
    }
}
