//! Discovery in trees as the kernel builds them, made of plain files.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A sysfs and a `/dev` in a temporary directory.
pub(crate) struct FakeSysfs {
    folder: TempDir,
}

/// The usual controller of a PC.
pub(crate) const PCI: &str = "pci0000:00/0000:00:14.0";

impl FakeSysfs {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["sys/class/tty", "sys/devices", "dev"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn sysfs(&self) -> Sysfs {
        Sysfs {
            root: self.folder.path().join("sys"),
            nodes: self.folder.path().join("dev"),
        }
    }

    /// Plugs a USB device in, `usb1/1-2/1-2.3`, and returns its directory.
    pub(crate) fn plug(&self, controller: &str, path: &str, ids: (&str, &str), n: u32) -> PathBuf {
        let device = self
            .folder
            .path()
            .join("sys/devices")
            .join(controller)
            .join(path);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("idVendor"), format!("{}\n", ids.0)).unwrap();
        fs::write(device.join("idProduct"), format!("{}\n", ids.1)).unwrap();
        fs::write(device.join("devnum"), format!("{n}\n")).unwrap();
        device
    }

    /// Adds a tty to an interface of a device; `port` makes it one of a bridge.
    pub(crate) fn tty(&self, device: &Path, interface: &str, port: Option<u8>, name: &str) {
        let base = device.file_name().unwrap().to_str().unwrap();
        let mut place = device.join(format!("{base}:{interface}"));
        if let Some(port) = port {
            place = place.join(name);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("port_number"), format!("{port}\n")).unwrap();
        }
        let node = place.join("tty").join(name);
        fs::create_dir_all(&node).unwrap();
        let up = if port.is_some() {
            format!("../../../{name}")
        } else {
            format!("../../../{base}:{interface}")
        };
        symlink(up, node.join("device")).unwrap();
        symlink(&node, self.folder.path().join("sys/class/tty").join(name)).unwrap();
    }

    /// Pulls a device out, with everything on it.
    pub(crate) fn unplug(&self, device: &Path, ttys: &[&str]) {
        fs::remove_dir_all(device).unwrap();
        for name in ttys {
            fs::remove_file(self.folder.path().join("sys/class/tty").join(name)).unwrap();
        }
    }
}

fn keys(fake: &FakeSysfs) -> Vec<String> {
    fake.sysfs()
        .scan()
        .unwrap()
        .iter()
        .map(|tty| tty.key.to_string())
        .collect()
}

#[test]
fn boards_behind_a_chain_of_hubs_are_told_apart_by_their_ports() {
    let fake = FakeSysfs::new();
    for (port, name) in [(1, "ttyUSB3"), (4, "ttyUSB0")] {
        let path = format!("usb1/1-2/1-2.3/1-2.3.{port}");
        let device = fake.plug(PCI, &path, ("10c4", "ea60"), 7 + port);
        fake.tty(&device, "1.0", Some(0), name);
    }
    assert_eq!(
        keys(&fake),
        ["pci-0000:00:14.0/2.3.1:1.0", "pci-0000:00:14.0/2.3.4:1.0"]
    );
    let key = "pci-0000:00:14.0/2.3.4:1.0".parse().unwrap();
    let tty = fake.sysfs().resolve(&key).unwrap();
    assert!(tty.path.ends_with("dev/ttyUSB0"));
    assert_eq!((tty.vid, tty.pid, tty.devnum), (0x10c4, 0xea60, 11));
    assert_eq!(tty.serial, None);
}

#[test]
fn the_four_ports_of_a_quad_bridge_are_four_bays() {
    let fake = FakeSysfs::new();
    let device = fake.plug(PCI, "usb3/3-5", ("0403", "6011"), 4);
    for interface in 0..4 {
        fake.tty(
            &device,
            &format!("1.{interface}"),
            Some(0),
            &format!("ttyUSB{interface}"),
        );
    }
    let expected: Vec<_> = (0..4)
        .map(|i| format!("pci-0000:00:14.0/5:1.{i}"))
        .collect();
    assert_eq!(keys(&fake), expected);
    let whole = "pci-0000:00:14.0/5".parse().unwrap();
    let error = fake.sysfs().resolve(&whole).unwrap_err();
    assert_eq!(error.code(), "bay-ambiguous");
    assert!(error.to_string().contains("ttyUSB3"), "{error}");
}

#[test]
fn several_ports_on_one_interface_carry_their_port_number() {
    let fake = FakeSysfs::new();
    let device = fake.plug(PCI, "usb1/1-1", ("110a", "1410"), 4);
    for port in 0..3 {
        fake.tty(&device, "1.0", Some(port), &format!("ttyUSB{port}"));
    }
    assert_eq!(
        keys(&fake),
        [
            "pci-0000:00:14.0/1:1.0",
            "pci-0000:00:14.0/1:1.0+1",
            "pci-0000:00:14.0/1:1.0+2"
        ]
    );
}

#[test]
fn two_controllers_with_the_same_ports_are_different_places() {
    let fake = FakeSysfs::new();
    let add_in = "pci0000:00/0000:00:1c.4/0000:03:00.0";
    for (controller, bus, name) in [(PCI, 1, "ttyUSB0"), (add_in, 3, "ttyUSB1")] {
        let device = fake.plug(
            controller,
            &format!("usb{bus}/{bus}-2"),
            ("1a86", "7523"),
            2,
        );
        fake.tty(&device, "1.0", Some(0), name);
    }
    assert_eq!(
        keys(&fake),
        ["pci-0000:00:14.0/2:1.0", "pci-0000:03:00.0/2:1.0"]
    );
}

#[test]
fn another_bus_number_after_a_reboot_gives_the_same_key() {
    let before = FakeSysfs::new();
    let device = before.plug(PCI, "usb1/1-2/1-2.3", ("303a", "1001"), 9);
    before.tty(&device, "1.0", None, "ttyACM0");
    let after = FakeSysfs::new();
    let device = after.plug(PCI, "usb5/5-2/5-2.3", ("303a", "1001"), 3);
    after.tty(&device, "1.0", None, "ttyACM7");
    assert_eq!(keys(&before), ["pci-0000:00:14.0/2.3:1.0"]);
    assert_eq!(keys(&before), keys(&after));
}

#[test]
fn a_controller_of_a_single_board_computer_is_named_by_its_address() {
    let fake = FakeSysfs::new();
    let platform = "platform/axi/1f00200000.usb/xhci-hcd.0.auto";
    let device = fake.plug(platform, "usb1/1-1", ("10c4", "ea60"), 2);
    fake.tty(&device, "1.0", Some(0), "ttyUSB0");
    assert_eq!(keys(&fake), ["platform-1f00200000.usb/1:1.0"]);
}

#[test]
fn a_native_port_is_known_by_its_serial_and_a_bridge_by_its_plugging() {
    let fake = FakeSysfs::new();
    let device = fake.plug(PCI, "usb1/1-1", ("303a", "1001"), 5);
    fs::write(device.join("serial"), "7C:DF:A1:00:00:01\n").unwrap();
    fake.tty(&device, "1.0", None, "ttyACM0");
    let bridge = fake.plug(PCI, "usb1/1-2", ("10c4", "ea60"), 6);
    fs::write(bridge.join("serial"), "0001\n").unwrap();
    fake.tty(&bridge, "1.0", Some(0), "ttyUSB0");
    let scan = fake.sysfs().scan().unwrap();
    assert!(scan[0].is_native());
    assert_eq!(scan[0].identity(), "serial 7C:DF:A1:00:00:01");
    assert_eq!(scan[1].identity(), "device 6");
}

#[test]
fn what_is_not_usb_or_not_understood_is_skipped() {
    let fake = FakeSysfs::new();
    let tty = fake.sysfs().root.join("class/tty");
    fs::create_dir_all(tty.join("tty0")).unwrap();
    let onboard = fake
        .sysfs()
        .root
        .join("devices/platform/serial8250/tty/ttyS0");
    fs::create_dir_all(&onboard).unwrap();
    symlink("../..", onboard.join("device")).unwrap();
    symlink(&onboard, tty.join("ttyS0")).unwrap();
    symlink("nowhere", tty.join("ttyUSB9")).unwrap();
    let odd = fake.plug(PCI, "usb1/1-0", ("10c4", "ea60"), 1);
    fake.tty(&odd, "1.0", Some(0), "ttyUSB1");
    let broken = fake.plug(PCI, "usb1/1-3", ("zz", "ea60"), 1);
    fake.tty(&broken, "1.0", Some(0), "ttyUSB2");
    assert_eq!(keys(&fake), [""; 0]);
    assert!(
        Sysfs {
            root: "/nowhere".into(),
            nodes: "/dev".into()
        }
        .scan()
        .is_err()
    );
}
