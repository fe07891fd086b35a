//! Where updates may be handed out and sent to: this machine, unless `station.toml` says more.

use std::net::IpAddr;

use serde::Deserialize;

/// Table `ota` of `station.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtaConfig {
    /// Addresses besides loopback that updates may be served on.
    #[serde(default)]
    pub serve_on: Vec<IpAddr>,
    /// Names and addresses of devices that updates may be pushed to, wherever they are.
    #[serde(default)]
    pub push_to: Vec<String>,
}

impl OtaConfig {
    /// Whether updates may be served on an address.
    pub fn may_serve_on(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.serve_on.contains(&address)
    }

    /// Whether updates may be pushed to a host at an address. A client reaches this machine and what is
    /// configured; a person at the command line private networks as well.
    pub fn may_push_to(&self, host: &str, address: IpAddr, by_person: bool) -> bool {
        let named = |name: &String| name.eq_ignore_ascii_case(host);
        let address = address.to_canonical();
        let private = match address {
            IpAddr::V4(address) => address.is_private(),
            IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
        };
        address.is_loopback() || (by_person && private) || self.push_to.iter().any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_stay_on_this_machine_unless_configured() {
        let unconfigured = OtaConfig::default();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(unconfigured.may_serve_on(ip("127.0.0.1")));
        assert!(unconfigured.may_serve_on(ip("::1")));
        for elsewhere in ["0.0.0.0", "192.168.1.5", "::", "8.8.8.8"] {
            assert!(!unconfigured.may_serve_on(ip(elsewhere)), "{elsewhere}");
        }
        let configured: OtaConfig =
            toml::from_str("serve_on = [\"0.0.0.0\"]\npush_to = [\"Device.example\"]").unwrap();
        assert!(configured.may_serve_on(ip("0.0.0.0")));
        assert!(!configured.may_serve_on(ip("192.168.1.5")));
        assert!(configured.may_push_to("device.example", ip("8.8.8.8"), false));
        assert!(!configured.may_push_to("device", ip("8.8.8.8"), true));
    }

    #[test]
    fn a_client_pushes_to_this_machine_and_a_person_to_private_networks_too() {
        let unconfigured = OtaConfig::default();
        let may = |address: &str, by_person| {
            unconfigured.may_push_to("x", address.parse().unwrap(), by_person)
        };
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(may(near, false), "{near}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.9",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(may(private, true) && !may(private, false), "{private}");
        }
        for far in [
            "8.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "2001:db8::1",
        ] {
            assert!(!may(far, true), "{far}");
        }
    }
}
