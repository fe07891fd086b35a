//! A package to devices: `esp_ota_deploy`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::attached::reported;
use super::super::security::secret_file;
use super::super::target::blocking;
use super::super::text::duration;
use super::package::{ManifestView, open, read, refused};
use super::push::{Push, PushedView, harmless};
use super::trust::TrustParameters;
use crate::operation::{Call, Declaration, Effect, Exit, Operation, OperationError};
use crate::ota_server::{Offer, OtaServer, TlsError, Until, client_tls, server_tls};
use crate::station::Station;

/// Longest file of certificates.
const MAX_CERTIFICATES: u64 = 1 << 20;

/// Parameters of `esp_ota_deploy`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeployParameters {
    /// The package
    pub package: PathBuf,
    /// Whose signature counts
    #[command(flatten)]
    #[serde(flatten)]
    pub trust: TrustParameters,
    /// Address and port to serve on; this machine only, unless station.toml allows more
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8070")]
    #[serde(default = "loopback")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// How long to serve, or how long pushing may take: 10m, at most an hour
    #[arg(long, value_name = "TIME", default_value = "10m")]
    #[serde(default = "ten_minutes")]
    pub within: String,
    /// Stop serving after so many downloads; fewer within the time are a failure
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub downloads: Option<u32>,
    /// Serve HTTPS with the certificates in this file, PEM
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The private key of the first certificate, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_key: Option<PathBuf>,
    /// Send it to the device at this URL instead of serving it
    #[arg(long, value_name = "URL", conflicts_with_all = ["listen", "downloads", "certificate"])]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    /// Push the whole package instead of the image alone
    #[arg(long, requires = "push")]
    #[serde(default)]
    pub whole: bool,
    /// Push with POST instead of PUT
    #[arg(long, requires = "push")]
    #[serde(default)]
    pub post: bool,
    /// Certificates that the device's must come from, PEM; needed to push to an https: URL
    #[arg(long, value_name = "FILE", requires = "push")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8070))
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

/// What was served.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ServedView {
    /// URL of the image; `package.tar` and `manifest.json` lay beside it
    pub url: String,
    /// Requests
    pub requests: u64,
    /// Of these, refused ones
    pub refused: u64,
    /// Bytes of content that were sent
    pub bytes: u64,
    /// How often an image or package was sent up to its last byte
    pub downloads: u64,
    /// Downloads that were asked for
    pub wanted: Option<u32>,
}

/// What became of a package.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DeployView {
    /// What the package says about its image
    pub manifest: ManifestView,
    /// What was served, if it was
    pub served: Option<ServedView>,
    /// What a device was sent, if it was pushed
    pub pushed: Option<PushedView>,
}

fn unusable(error: &TlsError) -> OperationError {
    OperationError::usage(error.code(), error.to_string())
}

async fn certificates(station: &Station, file: &Path) -> Result<Vec<u8>, OperationError> {
    let path = station.readable(file)?;
    blocking(move || crate::station::read_bounded(&path, MAX_CERTIFICATES)).await
}

impl DeployParameters {
    /// Refuses what would be passed over in silence.
    fn check(&self) -> Result<(), OperationError> {
        let refuse = |message| Err(OperationError::usage("deploy-ambiguous", message));
        let Some(url) = &self.push else {
            return match self.whole || self.post || self.ca.is_some() {
                true => refuse("`whole`, `post` and `ca` are for a package that is pushed: `push`"),
                false => Ok(()),
            };
        };
        let serves = self.certificate.is_some() || self.certificate_key.is_some();
        if serves || self.downloads.is_some() {
            return refuse("a package is served or pushed, not both");
        }
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if self.ca.is_some() && !scheme.eq_ignore_ascii_case("https") {
            return refuse(
                "`ca` says whose certificate the device has, and only https: asks for one",
            );
        }
        Ok(())
    }

    /// Serves until time or downloads are up.
    async fn serve(
        &self,
        station: &Station,
        offer: Offer,
        time: Duration,
        call: &Call,
    ) -> Result<ServedView, OperationError> {
        let address = self.listen;
        if !station.config().ota.may_serve_on(address.ip()) {
            let message = format!("updates may not be served on {}", address.ip());
            return Err(OperationError::usage("ota-serve-not-allowed", message)
                .exit(Exit::Refused)
                .hint("name the address in `serve_on` of table `ota` in station.toml"));
        }
        let tls = match (&self.certificate, &self.certificate_key) {
            (None, None) => None,
            (Some(chain), Some(key)) => {
                let chain = certificates(station, chain).await?;
                let key = secret_file(station, key).await?;
                Some(server_tls(&chain, key.expose()).map_err(|error| unusable(&error))?)
            }
            (Some(_), None) | (None, Some(_)) => {
                let message = "HTTPS needs a certificate and its key";
                return Err(OperationError::usage("tls-incomplete", message));
            }
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = OtaServer::bind(address, offer, tls)
            .await
            .map_err(|error| {
                let message = format!("cannot serve on {address}: {error}");
                OperationError::new("ota-listen", message)
            })?;
        let url = format!("{scheme}://{}/image.bin", server.address());
        tracing::info!("serving {url}");
        let downloads = self.downloads.map(u64::from);
        let serving = server.run(Until { time, downloads });
        let count = reported(call, &format!("serving {url}"), Some(time), serving).await;
        Ok(ServedView {
            url,
            requests: count.requests,
            refused: count.refused,
            bytes: count.bytes,
            downloads: count.downloads,
            wanted: self.downloads,
        })
    }

    /// Sends it to a device.
    async fn send(
        &self,
        station: &Station,
        url: &str,
        offer: &Offer,
        within: Duration,
        call: &Call,
    ) -> Result<PushedView, OperationError> {
        let mut push = Push::to(url, within)?;
        push.post = self.post;
        push.tls = match &self.ca {
            Some(roots) => {
                let roots = certificates(station, roots).await?;
                Some(client_tls(&roots).map_err(|error| unusable(&error))?)
            }
            None if push.is_secure() => {
                let message = "nothing says whose certificate the device has";
                return Err(OperationError::usage("tls-ca-missing", message)
                    .hint("give `ca` with the certificate that the device's comes from"));
            }
            None => None,
        };
        let content = if self.whole {
            &offer.package
        } else {
            &offer.image
        };
        push.send(content, &station.config().ota, call).await
    }
}

/// `esp_ota_deploy`.
#[derive(Debug)]
pub struct OtaDeploy;

#[async_trait]
impl Operation for OtaDeploy {
    const DECLARATION: Declaration = Declaration {
        name: "esp_ota_deploy",
        aliases: &[],
        command: &["ota", "deploy"],
        title: "Hand out a package, or push it to a device",
        summary: "Serves a trusted package over HTTP or HTTPS for a while as image.bin, package.tar and manifest.json, whole or by range, \
                  with digests; or pushes it to the URL of a device. On this machine only, unless station.toml allows more.",
        effect: Effect::Write,
        idempotent: false,
    };
    type Parameters = DeployParameters;
    type Output = DeployView;

    fn recorded(mut parameters: Value) -> Value {
        if let Some(Value::String(url)) = parameters.get_mut("push") {
            *url = harmless(url);
        }
        parameters
    }

    async fn invoke(
        station: &Station,
        parameters: DeployParameters,
        call: &Call,
    ) -> Result<DeployView, OperationError> {
        parameters.check()?;
        let within = duration(&parameters.within)?;
        let trusted = parameters.trust.required(station).await?;
        let content = read(station, &parameters.package).await?;
        let name = parameters.package.display().to_string();
        let (manifest, offer) = blocking(move || {
            let manifest = ManifestView::of(open(&name, &content, trusted.as_ref())?.manifest());
            let offer = Offer::of(content).map_err(|error| refused(&name, &error))?;
            Ok((manifest, offer))
        })
        .await?;
        let (mut served, mut pushed) = (None, None);
        match &parameters.push {
            None => served = Some(parameters.serve(station, offer, within, call).await?),
            Some(url) => {
                pushed = Some(parameters.send(station, url, &offer, within, call).await?);
            }
        }
        Ok(DeployView {
            manifest,
            served,
            pushed,
        })
    }

    fn words(view: &DeployView) -> String {
        let mut text = view.manifest.words();
        if let Some(served) = &view.served {
            text.push_str(&format!(
                "\nserved {}: {} requests, {} downloads, {} bytes",
                served.url, served.requests, served.downloads, served.bytes
            ));
        }
        if let Some(pushed) = &view.pushed {
            text.push_str(&format!(
                "\npushed {} bytes to {}, which answered {} {}",
                pushed.bytes, pushed.url, pushed.status, pushed.answer
            ));
        }
        text
    }

    fn exit(view: &DeployView) -> Exit {
        let missing = |served: &ServedView| {
            let wanted = served.wanted.map(u64::from);
            wanted.is_some_and(|wanted| served.downloads < wanted)
        };
        match view.served.as_ref().is_some_and(missing) {
            true => Exit::SomeFailed,
            false => Exit::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_be_passed_over_is_refused_and_a_password_is_not_recorded() {
        let check = |more: Value| {
            let mut asked = json!({"package": "a.ota"});
            asked
                .as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            let parameters: DeployParameters = serde_json::from_value(asked).unwrap();
            parameters.check().map_err(|error| error.code)
        };
        for good in [
            json!({}),
            json!({"downloads": 2}),
            json!({"push": "http://device/", "post": true}),
            json!({"push": "https://device/", "ca": "ca.pem"}),
        ] {
            assert_eq!(check(good.clone()), Ok(()), "{good}");
        }
        for wrong in [
            json!({"whole": true}),
            json!({"ca": "ca.pem"}),
            json!({"push": "https://device/", "downloads": 1}),
            json!({"push": "https://device/", "certificate": "a.pem"}),
            json!({"push": "http://device/", "ca": "ca.pem"}),
        ] {
            assert_eq!(
                check(wrong.clone()),
                Err("deploy-ambiguous".to_owned()),
                "{wrong}"
            );
        }
        let asked = json!({"package": "a.ota", "push": "http://me:secret@device/?key=secret"});
        let kept = OtaDeploy::recorded(asked).to_string();
        assert!(
            !kept.contains("secret") && kept.contains("device"),
            "{kept}"
        );
    }
}
