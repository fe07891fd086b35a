//! A package or its image sent to a device.
//!
//! Invariants: the address that was judged is the one that is connected to; a redirect is not followed; the
//! whole of it takes no longer than the caller said, and no more of an answer is kept than is shown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::super::attached::reported;
use crate::operation::{Call, Exit, Face, OperationError};
use crate::ota_server::{Representation, Sent, Tally};
use crate::station::OtaConfig;

/// Longest wait for one of a host's addresses: the next one may be the one that answers.
const CONNECTING: Duration = Duration::from_secs(10);
/// Most bytes of a device's answer that are read.
const MAX_ANSWER: usize = 4096;
/// Most characters of it that are shown.
const SHOWN: usize = 300;

/// What a device was sent, and said.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PushedView {
    /// Where it was sent; a query is left out
    pub url: String,
    /// The device's address
    pub address: String,
    /// Bytes that were sent
    pub bytes: u64,
    /// HTTP status of the answer
    pub status: u16,
    /// The answer, as far as it is text; at most 300 characters
    pub answer: String,
}

/// Where something is sent, and how.
pub(super) struct Push {
    url: Uri,
    host: String,
    port: u16,
    is_secure: bool,
    /// POST instead of PUT.
    pub post: bool,
    /// How an HTTPS device's certificate is checked.
    pub tls: Option<Arc<ClientConfig>>,
    /// Longest time of all of it.
    pub within: Duration,
}

/// A URL as it may be shown and recorded, also one that is refused: without a password before `@`, and
/// without what stands behind `?`, which may be a password too.
pub(super) fn harmless(url: &str) -> String {
    let (place, query) = match url.split_once(['?', '#']) {
        Some((place, _)) => (place, "?…"),
        None => (url, ""),
    };
    match place.rsplit_once('@') {
        Some((_, behind)) => format!("…@{behind}{query}"),
        None => format!("{place}{query}"),
    }
}

fn refuse(code: &str, message: impl Into<String>) -> OperationError {
    OperationError::usage(code, message)
}

fn failed(code: &str, message: impl Into<String>) -> OperationError {
    OperationError::new(code, message).exit(Exit::SomeFailed)
}

impl Push {
    /// Reads a URL.
    ///
    /// # Errors
    /// `url-invalid`.
    pub(super) fn to(text: &str, within: Duration) -> Result<Self, OperationError> {
        let invalid = |why: &str| {
            refuse("url-invalid", format!("that is no URL to push to: {why}"))
                .hint("write http://HOST:PORT/PATH or https://HOST:PORT/PATH")
        };
        let url: Uri = text.parse().map_err(|_| invalid("it cannot be read"))?;
        let is_secure = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(invalid("it begins with neither http: nor https:")),
        };
        let authority = url.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it carries a name or password"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        let port = authority.port_u16().unwrap_or(match is_secure {
            true => 443,
            false => 80,
        });
        Ok(Self {
            url,
            host,
            port,
            is_secure,
            post: false,
            tls: None,
            within,
        })
    }

    /// Whether the device is to prove who it is.
    pub(super) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Sends it.
    ///
    /// # Errors
    /// `push-not-allowed`, `push-unreachable`, `push-redirected`, `push-refused`, `push-failed`,
    /// `push-timeout`.
    pub(super) async fn send(
        &self,
        content: &Representation,
        config: &OtaConfig,
        call: &Call,
    ) -> Result<PushedView, OperationError> {
        let tally = Arc::<Tally>::default();
        let sending = timeout(self.within, self.sent(content, config, call, &tally));
        let sent = reported(call, "pushing", Some(self.within), sending).await;
        sent.unwrap_or_else(|_| {
            let bytes = tally.count().bytes;
            let message = format!("the device was not done after {bytes} bytes");
            Err(failed("push-timeout", message).hint("`within` says how long it may take"))
        })
    }

    async fn sent(
        &self,
        content: &Representation,
        config: &OtaConfig,
        call: &Call,
        tally: &Arc<Tally>,
    ) -> Result<PushedView, OperationError> {
        let (stream, address) = self.connect(config, call).await?;
        let request = self.request(content, tally)?;
        let response = match &self.tls {
            Some(tls) if self.is_secure => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|error| refuse("url-invalid", error.to_string()))?;
                let connector = TlsConnector::from(Arc::clone(tls));
                let stream = connector.connect(name, stream).await.map_err(|error| {
                    failed(
                        "push-tls",
                        format!("no secure connection to {}: {error}", self.host),
                    )
                })?;
                exchange(stream, request).await?
            }
            Some(_) | None => exchange(stream, request).await?,
        };
        let status = response.0;
        let view = PushedView {
            url: harmless(&self.url.to_string()),
            address: address.to_string(),
            bytes: tally.count().bytes,
            status,
            answer: response.1,
        };
        match status {
            200..=299 => Ok(view),
            300..=399 => Err(failed(
                "push-redirected",
                format!("the device answered {status} and sends on, which is not followed"),
            )),
            _ => {
                let message = format!("the device answered {status}: {}", view.answer);
                Err(failed("push-refused", message))
            }
        }
    }

    /// Connects to the first of the host's addresses that answers; every one of them must be allowed.
    async fn connect(
        &self,
        config: &OtaConfig,
        call: &Call,
    ) -> Result<(TcpStream, SocketAddr), OperationError> {
        let host = &self.host;
        let unreachable =
            |why: String| failed("push-unreachable", format!("cannot reach `{host}`: {why}"));
        let found = tokio::net::lookup_host((host.as_str(), self.port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|e| unreachable(e.to_string()))?.collect();
        let by_person = call.face == Face::Cli;
        let forbidden = |address: &&SocketAddr| !config.may_push_to(host, address.ip(), by_person);
        if let Some(address) = addresses.iter().find(forbidden) {
            let message = format!(
                "`{host}` is {}, which updates may not be pushed to",
                address.ip()
            );
            return Err(refuse("push-not-allowed", message)
                .exit(Exit::Refused)
                .hint("name the host in `push_to` of table `ota` in station.toml"));
        }
        let mut why = "it has no address".to_owned();
        for address in addresses {
            match timeout(CONNECTING, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("{address} does not answer"),
            }
        }
        Err(unreachable(why))
    }

    fn request(
        &self,
        content: &Representation,
        tally: &Arc<Tally>,
    ) -> Result<Request<Sent>, OperationError> {
        let authority = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let method = match self.post {
            true => Method::POST,
            false => Method::PUT,
        };
        let bytes = content.bytes.clone();
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, content.kind)
            .header(CONTENT_LENGTH, bytes.len())
            .header("repr-digest", &content.digest)
            .header("content-digest", &content.digest)
            .body(Sent::new(bytes, Arc::clone(tally), true))
            .map_err(|error| refuse("url-invalid", error.to_string()))
    }
}

/// One request and its answer.
async fn exchange<S>(stream: S, request: Request<Sent>) -> Result<(u16, String), OperationError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| {
        failed("push-failed", format!("the device did not answer: {error}")).caused_by(&error)
    };
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let talking = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok(read(response).await)
    };
    tokio::pin!(talking, connection);
    // The answer may come before the connection ends, or with its end.
    tokio::select! {
        biased;
        answer = &mut talking => return answer,
        _ended = &mut connection => {}
    }
    talking.await
}

async fn read(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let mut body = Limited::new(response.into_body(), MAX_ANSWER);
    let mut bytes = Vec::new();
    // What came before a connection broke off, or before there was too much, is an answer as well.
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .filter(|sign| !sign.is_control())
        .take(SHOWN)
        .collect();
    (status, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_is_asked_with_is_not_shown() {
        for (url, shown) in [
            ("http://device/ota", "http://device/ota"),
            ("http://device/ota?token=secret", "http://device/ota?…"),
            ("http://me:secret@device/ota#secret", "…@device/ota?…"),
            ("http://me:se@cret@device", "…@device"),
        ] {
            assert_eq!(harmless(url), shown);
        }
    }

    #[test]
    fn a_url_names_a_host_and_no_password() {
        let second = Duration::from_secs(1);
        let push = Push::to("http://[::1]:8080/ota?slot=1", second).unwrap();
        assert_eq!((push.host.as_str(), push.port), ("::1", 8080));
        assert_eq!(Push::to("https://device.local/", second).unwrap().port, 443);
        for wrong in [
            "",
            "device",
            "ftp://device/",
            "http:///x",
            "http://a:b@device/",
            "/x",
        ] {
            let refused = Push::to(wrong, second).err();
            assert_eq!(
                refused.map(|error| error.code).as_deref(),
                Some("url-invalid"),
                "{wrong}"
            );
        }
    }
}
