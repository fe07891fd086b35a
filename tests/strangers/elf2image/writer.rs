//! ELFs written by hand, as odd as the format allows.

/// A section, or a segment where it becomes a program header.
#[derive(Debug, Clone)]
pub struct Section {
    /// Name, without meaning for segments.
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// Where it is loaded.
    pub address: u32,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A small ELF with these sections and program headers, in this order.
pub fn elf(machine: u16, entry: u32, sections: &[Section], segments: &[Section]) -> Vec<u8> {
    let mut bytes = vec![0; 52 + 32 * segments.len()];
    let (mut table, mut program, mut names) = (vec![0; 40], Vec::new(), vec![0]);
    let push = |table: &mut Vec<u8>, words: &[u32]| {
        words
            .iter()
            .for_each(|word| table.extend_from_slice(&word.to_le_bytes()));
    };
    for section in sections {
        let (name, offset) = (names.len() as u32, bytes.len() as u32);
        let (address, length) = (section.address, section.data.len() as u32);
        let words = [name, section.kind, 2, address, offset, length, 0, 0, 4, 0];
        push(&mut table, &words);
        names.extend_from_slice(section.name.as_bytes());
        names.push(0);
        bytes.extend_from_slice(&section.data);
    }
    for segment in segments {
        let (offset, length) = (bytes.len() as u32, segment.data.len() as u32);
        let address = segment.address;
        let words = [1, offset, !address, address, length, length, 7, 4];
        push(&mut program, &words);
        bytes.extend_from_slice(&segment.data);
    }
    bytes[52..52 + program.len()].copy_from_slice(&program);
    let (name, offset) = (names.len() as u32, bytes.len() as u32);
    names.extend_from_slice(b".shstrtab\0");
    let words = [name, 3, 0, 0, offset, names.len() as u32, 0, 0, 1, 0];
    push(&mut table, &words);
    bytes.extend_from_slice(&names);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let section_table = bytes.len() as u32;
    bytes.extend_from_slice(&table);
    let mut head = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    head.extend_from_slice(&machine.to_le_bytes());
    push(&mut head, &[1, entry, 52, section_table, 0]);
    let count = sections.len() as u16;
    for half in [52, 32, segments.len() as u16, 40, count + 2, count + 1] {
        head.extend_from_slice(&half.to_le_bytes());
    }
    bytes[..52].copy_from_slice(&head);
    bytes
}
