//! The server: a listener and its connections, until time or downloads are up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::answer::answer;
use super::offer::Offer;
use super::tally::{Count, Tally};

/// Most connections at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 32;
/// Longest time of one connection.
const CONNECTION: Duration = Duration::from_secs(600);
/// Longest time until a client has said who it is, and until each of its requests is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that connections have to end what they are at.
const FAREWELL: Duration = Duration::from_secs(10);
/// Most bytes of a request's head, and of what is buffered for a client.
const BUFFER: usize = 16 * 1024;
/// Wait after a connection could not be accepted, which mostly means that there are too many files.
const BREATH: Duration = Duration::from_millis(100);

/// When a server ends.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// At the latest after this time.
    pub time: Duration,
    /// After so many downloads.
    pub downloads: Option<u64>,
}

/// A server that listens and has not yet answered.
#[derive(Debug)]
pub struct OtaServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    offer: Arc<Offer>,
    tally: Arc<Tally>,
}

impl OtaServer {
    /// Listens.
    ///
    /// # Errors
    /// Those of the system: the address is in use, or none of this machine.
    pub async fn bind(
        address: SocketAddr,
        offer: Offer,
        tls: Option<Arc<ServerConfig>>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            tls,
            offer: Arc::new(offer),
            tally: Arc::default(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Answers until then. Dropping this ends every connection.
    pub async fn run(self, until: Until) -> Count {
        let mut connections = JoinSet::new();
        let end = tokio::time::sleep_until(Instant::now() + until.time);
        let (tally, stop) = (self.tally(), CancellationToken::new());
        let enough = async {
            match until.downloads {
                Some(downloads) => tally.downloads(downloads).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end, enough);
        loop {
            let room = connections.len() < MAX_CONNECTIONS;
            tokio::select! {
                biased;
                () = &mut end => break,
                () = &mut enough => break,
                Some(_ended) = connections.join_next() => {}
                accepted = self.listener.accept(), if room => match accepted {
                    Ok((stream, _)) => {
                        let conversation = self.conversation(stream, stop.clone());
                        connections.spawn(async move {
                            // A client that does not come to an end is left.
                            let _outcome = timeout(CONNECTION, conversation).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(BREATH).await;
                    }
                },
            }
        }
        // Answers that have begun come to their end; a connection that is merely open is closed.
        stop.cancel();
        let ended = async { while connections.join_next().await.is_some() {} };
        let _all = timeout(FAREWELL, ended).await;
        tally.count()
    }

    /// Everything there is to say on one connection.
    fn conversation(
        &self,
        stream: TcpStream,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (offer, tally) = (Arc::clone(&self.offer), Arc::clone(&self.tally));
        let tls = self.tls.clone();
        async move {
            let _late = stream.set_nodelay(true);
            match tls {
                None => talk(stream, offer, tally, stop).await,
                Some(config) => {
                    let accepted = TlsAcceptor::from(config).accept(stream);
                    if let Ok(Ok(stream)) = timeout(PATIENCE, accepted).await {
                        talk(stream, offer, tally, stop).await;
                    }
                }
            }
        }
    }
}

async fn talk<S>(stream: S, offer: Arc<Offer>, tally: Arc<Tally>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let said = answer(
            &offer,
            request.method(),
            request.uri().path(),
            request.headers(),
            &tally,
        );
        std::future::ready(said)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a client of the update server: {error}");
    }
}
