//! What is answered to a request.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use hyper::http::response::Builder;
use hyper::{Method, Response, StatusCode};

use super::body::Sent;
use super::offer::{Offer, Representation};
use super::range::{Wanted, wanted};
use super::tally::Tally;

/// The digest of the whole representation, also where a part of it is sent (RFC 9530).
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Answers a request.
///
/// # Errors
/// When a header cannot be written, which none of ours is.
pub(super) fn answer(
    offer: &Offer,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    tally: &Arc<Tally>,
) -> Result<Response<Sent>, hyper::http::Error> {
    tally.asked();
    let Some(found) = offer.find(path) else {
        return refusal(Response::builder(), StatusCode::NOT_FOUND, tally);
    };
    if method != Method::GET && method != Method::HEAD {
        let builder = Response::builder().header(ALLOW, "GET, HEAD");
        return refusal(builder, StatusCode::METHOD_NOT_ALLOWED, tally);
    }
    let builder = Response::builder()
        .header(ETAG, &found.etag)
        .header(REPR_DIGEST, &found.digest)
        .header(CACHE_CONTROL, "no-cache")
        .header(ACCEPT_RANGES, "bytes");
    if known(headers, &found.etag) {
        return builder
            .status(StatusCode::NOT_MODIFIED)
            .body(nothing(tally));
    }
    let builder = builder.header(CONTENT_TYPE, found.kind);
    let length = found.bytes.len();
    // A range means something to GET alone.
    let part = match method == Method::GET {
        true => asked_for(headers, found),
        false => Wanted::Whole,
    };
    let (builder, range) = match part {
        Wanted::Whole => (builder.status(StatusCode::OK), 0..length),
        Wanted::Part(range) => {
            let shown = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            let builder = builder.status(StatusCode::PARTIAL_CONTENT);
            (builder.header(CONTENT_RANGE, shown), range)
        }
        Wanted::Unsatisfiable => {
            let builder = builder.header(CONTENT_RANGE, format!("bytes */{length}"));
            return refusal(builder, StatusCode::RANGE_NOT_SATISFIABLE, tally);
        }
    };
    let builder = builder.header(CONTENT_LENGTH, range.len());
    if method == Method::HEAD {
        return builder.body(nothing(tally));
    }
    let is_download = found.is_update && range.end == length;
    let bytes = found.bytes.slice(range);
    builder.body(Sent::new(bytes, Arc::clone(tally), is_download))
}

fn nothing(tally: &Arc<Tally>) -> Sent {
    Sent::new(Bytes::new(), Arc::clone(tally), false)
}

fn refusal(
    builder: Builder,
    status: StatusCode,
    tally: &Arc<Tally>,
) -> Result<Response<Sent>, hyper::http::Error> {
    tally.refuse();
    builder
        .status(status)
        .header(CONTENT_LENGTH, 0)
        .body(nothing(tally))
}

/// Whether the client has these bytes already.
fn known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}

/// The range that is asked for, if it is one of these bytes.
fn asked_for(headers: &HeaderMap, found: &Representation) -> Wanted {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Wanted::Whole;
    };
    let same = headers
        .get(IF_RANGE)
        .is_none_or(|tag| tag == found.etag.as_str());
    match range.to_str() {
        Ok(range) if same => wanted(range, found.bytes.len()),
        Ok(_) | Err(_) => Wanted::Whole,
    }
}
