//! Small ELFs: sections that are loaded, each with a program header, and a few symbols.

const HEADER: usize = 52;
const PROGRAM_HEADER: usize = 32;

/// A section: name, flags, address, bytes.
type Section<'a> = (&'a str, u32, u32, &'a [u8]);

fn words(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend(word.to_le_bytes());
    }
}

/// An application descriptor, as ESP-IDF puts it first.
pub(crate) fn descriptor() -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..4].copy_from_slice(&0xABCD_5432u32.to_le_bytes());
    bytes[16..21].copy_from_slice(b"1.2.3");
    bytes[48..54].copy_from_slice(b"sensor");
    bytes[112..116].copy_from_slice(b"v5.4");
    bytes[178..180].copy_from_slice(&[0xFF, 0xFF]);
    bytes
}

/// An ELF for this machine; `flags` stand in padding of its head, where the entry looks for them.
pub(crate) fn made(machine: u16, flags: u8, sections: &[Section<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + sections.len() * PROGRAM_HEADER];
    let (mut programs, mut names, mut table) = (Vec::new(), vec![0], vec![0; 40]);
    let mut heading = |name: &str| {
        let at = names.len() as u32;
        names.extend(name.bytes().chain([0]));
        (at, names.clone())
    };
    for (name, kind, address, data) in sections {
        let (offset, length) = (bytes.len() as u32, data.len() as u32);
        bytes.extend(*data);
        words(
            &mut table,
            &[
                heading(name).0,
                1,
                *kind,
                *address,
                offset,
                length,
                0,
                0,
                4,
                0,
            ],
        );
        words(
            &mut programs,
            &[1, offset, *address, *address, length, length, 7, 4],
        );
    }
    let count = sections.len() as u32;
    let (mut symbols, mut strings) = (vec![0; 16], vec![0]);
    for (name, at) in [
        ("main", 0),
        ("_ZN5Motor5startEi", 4),
        ("_ZN4core3fmt5write17h0123456789abcdefE", 8),
    ] {
        words(
            &mut symbols,
            &[strings.len() as u32, sections[0].2 + at, 4, 0x1_0012],
        );
        strings.extend(name.bytes().chain([0]));
    }
    for (name, kind, content, link, each) in [
        (".symtab", 2, symbols, count + 2, 16),
        (".strtab", 3, strings, 0, 0),
    ] {
        let (offset, length) = (bytes.len() as u32, content.len() as u32);
        bytes.extend(content);
        words(
            &mut table,
            &[
                heading(name).0,
                kind,
                0,
                0,
                offset,
                length,
                link,
                0,
                4,
                each,
            ],
        );
    }
    let (name, names) = heading(".shstrtab");
    let (offset, length) = (bytes.len() as u32, names.len() as u32);
    bytes.extend(names);
    words(&mut table, &[name, 3, 0, 0, offset, length, 0, 0, 1, 0]);
    let table_at = bytes.len() as u32;
    bytes.extend(table);
    bytes[HEADER..HEADER + programs.len()].copy_from_slice(&programs);
    bytes[..7].copy_from_slice(b"\x7FELF\x01\x01\x01");
    bytes[10] = flags;
    let entry = sections[0].2;
    let mut head = Vec::new();
    words(
        &mut head,
        &[
            u32::from(machine) << 16 | 2,
            1,
            entry,
            HEADER as u32,
            table_at,
            0,
        ],
    );
    for half in [HEADER as u32, 32, count, 40, count + 4, count + 3] {
        head.extend((half as u16).to_le_bytes());
    }
    bytes[16..HEADER].copy_from_slice(&head);
    bytes
}

/// An application for the ESP32-C3.
pub(crate) fn riscv(flags: u8) -> Vec<u8> {
    let sections: [Section<'_>; 3] = [
        (".flash.appdesc", 2, 0x3C00_0020, &descriptor()),
        (".flash.text", 6, 0x4201_0120, &[0x13; 100]),
        (".iram0.text", 6, 0x4038_0000, &[0x93; 64]),
    ];
    made(243, flags, &sections)
}

/// One for the ESP32.
pub(crate) fn xtensa() -> Vec<u8> {
    let sections: [Section<'_>; 3] = [
        (".flash.appdesc", 2, 0x3F40_0020, &descriptor()),
        (".flash.text", 6, 0x400D_0020, &[0x36; 100]),
        (".iram0.text", 6, 0x4008_0000, &[0x86; 64]),
    ];
    made(94, 0, &sections)
}
