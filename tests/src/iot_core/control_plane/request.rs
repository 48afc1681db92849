//! One request, taken apart: labels in the path, query, headers, body.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::reply::ServiceError;
use crate::iot_core::account::PageRequest;

/// A call of an operation.
#[derive(Debug)]
pub(super) struct Call {
    /// The operation's name.
    pub(super) operation: &'static str,
    /// Values of the labels in the path, in their order.
    pub(super) labels: Vec<String>,
    /// Query parameters, decoded.
    pub(super) query: Vec<(String, String)>,
    /// Headers.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
}

/// A key and a value, the form of a tag in AWS IoT and IAM.
#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    #[serde(rename = "Key")]
    pub(super) key: String,
    #[serde(rename = "Value", default)]
    pub(super) value: String,
}

impl Tag {
    pub(super) fn pair(self) -> (String, String) {
        (self.key, self.value)
    }
}

impl Call {
    /// The first label: the name of what the call is about.
    pub(super) fn name(&self) -> &str {
        self.label(0)
    }

    /// A label.
    pub(super) fn label(&self, index: usize) -> &str {
        self.labels.get(index).map(String::as_str).unwrap_or_default()
    }

    /// A query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A boolean query parameter; false if absent.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// A numeric query parameter.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ServiceError> {
        self.query(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| ServiceError::invalid_request(format!("{name} {text:?} is not a number")))
            })
            .transpose()
    }

    /// A header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, from JSON; an empty one counts as `{}`.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ServiceError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|e| ServiceError::invalid_request(format!("request body: {e}")))
    }

    /// The body, from a form (the query protocol of IAM and STS).
    pub(super) fn form(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The page asked for with `marker` and `pageSize`.
    pub(super) fn marker_page(&self) -> Result<PageRequest, ServiceError> {
        self.page("pageSize", "marker")
    }

    /// The page asked for with `nextToken` and `maxResults`.
    pub(super) fn token_page(&self) -> Result<PageRequest, ServiceError> {
        self.page("maxResults", "nextToken")
    }

    fn page(&self, size: &str, marker: &str) -> Result<PageRequest, ServiceError> {
        Ok(PageRequest {
            size: self.number(size)?,
            marker: self.query(marker).map(str::to_owned),
            descending: self.query("isAscendingOrder") == Some("false"),
        })
    }
}

/// An operation of a REST service: how it is asked for, and what answers.
pub(super) struct Route<H> {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) pattern: &'static str,
    pub(super) handler: H,
}

/// The labels of `path` (still percent-encoded, so that an encoded slash separates nothing) if it fits `pattern`.
pub(super) fn labels(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut segments = path.trim_end_matches('/').split('/');
    let mut labels = Vec::new();
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            labels.push(percent_encoding::percent_decode_str(segment).decode_utf8().ok()?.into_owned());
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(labels)
}
