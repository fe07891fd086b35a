//! Layouts, usage and places by name.

use super::super::*;
use proptest::prelude::*;

#[test]
fn the_largest_slots_for_4_megabytes_are_what_the_flash_allows() {
    let table = OtaLayout::new(4 << 20).plan().unwrap();
    assert_eq!(
        table.to_csv(),
        "# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n\
         nvs,data,nvs,0x9000,24K,\notadata,data,ota,0xf000,8K,\n\
         ota_0,app,ota_0,0x20000,1984K,\nota_1,app,ota_1,0x210000,1984K,\n"
    );
    let usage = table.usage(4 << 20, 0, 0x8000).unwrap();
    assert_eq!((usage.alignment_loss, usage.free), (0xF000, 0));
    assert_eq!(usage.used, (4 << 20) - 0xF000);
}

#[test]
fn what_does_not_fit_is_refused_with_what_is_missing() {
    let code = |change: fn(&mut OtaLayout)| {
        let mut layout = OtaLayout::new(4 << 20);
        change(&mut layout);
        layout.plan().unwrap_err().code()
    };
    assert_eq!(code(|layout| layout.slots = Slots::Ota(1)), "layout-slots");
    assert_eq!(code(|layout| layout.flash_size = 1 << 17), "layout-no-room");
    assert_eq!(
        code(|layout| layout.app = AppSize::Holding(3 << 20)),
        "layout-flash"
    );
    assert_eq!(
        code(|layout| layout.app = AppSize::Holding(17 << 20)),
        "layout-application"
    );
    assert_eq!(code(|layout| layout.nvs = Some(0x2000)), "partition-size");
    assert_eq!(code(|layout| layout.nvs = Some(0x3001)), "layout-sectors");
    assert_eq!(
        code(|layout| layout.storage = Some(fill())),
        "layout-two-fill"
    );
    assert_eq!(
        code(|layout| {
            layout.storage = Some(fill());
            layout.app = AppSize::Holding(1984 << 10);
        }),
        "layout-no-storage"
    );
}

fn fill() -> Storage {
    Storage {
        name: "storage".to_owned(),
        subtype: Subtype(0x82),
        size: None,
    }
}

#[test]
fn an_application_of_a_known_size_leaves_the_rest_to_storage() {
    let mut layout = OtaLayout::new(8 << 20);
    layout.slots = Slots::FactoryAndOta(2);
    layout.app = AppSize::Holding(0x12_3456);
    layout.phy = true;
    layout.nvs_keys = true;
    layout.coredump = Some(0x1_0000);
    layout.storage = Some(fill());
    let table = layout.plan().unwrap();
    let size = |name: &str| table.find(name).unwrap().size;
    assert_eq!((size("factory"), size("ota_1")), (0x13_0000, 0x13_0000));
    assert_eq!(table.end(), 8 << 20);
    assert!(table.find("nvs_keys").unwrap().encrypted);
    assert_eq!(table.warnings(&Rules::default()), []);
}

#[test]
fn places_are_found_by_name_distance_and_number() {
    let table = OtaLayout::new(4 << 20).plan().unwrap();
    assert_eq!(table.address("ota_0"), Ok(0x2_0000));
    assert_eq!(table.address("nvs + 4K"), Ok(0xA000));
    assert_eq!(table.address("0x9000"), Ok(0x9000));
    let code = |text: &str| table.address(text).unwrap_err().code();
    assert_eq!(code("ota_7"), "partition-unknown");
    assert_eq!(code("nvs+"), "partition-distance");
    assert_eq!(code("nvs+24K"), "partition-distance-outside");
    assert_eq!(code("-1"), "partition-address");
    assert_eq!(
        table.address("nvs+-4K").unwrap_err().to_string(),
        "-0x1000 is not inside partition `nvs` of 0x6000"
    );
}

#[test]
fn what_looks_like_a_mistake_is_warned_of() {
    let text =
        "nvs,data,fat,,4K\napp,data,fat,,4K\nbig,app,ota_0,,17M\nc,5,0,,4K\nd,app,ota_2,,1M\n";
    let table = Table::parse_csv(text).unwrap();
    let warnings = table.warnings(&Rules::default());
    let codes: Vec<&str> = warnings.iter().map(Warning::code).collect();
    assert_eq!(
        codes,
        [
            "partition-named-like-subtype",
            "partition-named-like-type",
            "partition-large-application",
            "partition-reserved-type",
            "partition-no-otadata",
            "partition-missing-slot",
        ]
    );
}

#[test]
fn text_in_utf_16_is_the_same_table() {
    let text = "größe,data,fat,,4K\n";
    let little: Vec<u8> = "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let table = Table::parse(text.as_bytes(), &Rules::default()).unwrap();
    assert_eq!(Table::parse(&little, &Rules::default()), Ok(table.clone()));
    assert_eq!(
        Table::parse(&table.to_binary(), &Rules::default()),
        Ok(table)
    );
    let code = |bytes: &[u8]| Table::parse(bytes, &Rules::default()).unwrap_err().code();
    assert_eq!(code(&[0xFF, 0xFE, 0x00]), "partition-not-text");
    assert_eq!(code(&[0xC0]), "partition-not-text");
}

#[test]
fn an_error_names_row_and_column() {
    let error = Table::parse_csv("\nx,data,fat,0x9000,many\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 5 (size): `many` is no number such as `0x9000`, `24K` or `1M`"
    );
    assert_eq!(
        (error.line(), error.column()),
        (Some(2), Some(Column::Size))
    );
}

proptest! {
    #[test]
    fn every_layout_keeps_the_rules_and_regions_cover_the_flash(
        megabytes in 1u32..64, ota in 0u8..18, factory in any::<bool>(), image in 0u32..(4 << 20),
        largest in any::<bool>(), nvs in 0u32..0x20, phy in any::<bool>(), coredump in 0u32..0x20,
        filled in any::<bool>(), secure in any::<bool>(),
    ) {
        let layout = OtaLayout {
            slots: match (factory, ota) {
                (_, 0) => Slots::Factory,
                (true, ota) => Slots::FactoryAndOta(ota),
                (false, ota) => Slots::Ota(ota),
            },
            app: if largest { AppSize::Largest } else { AppSize::Holding(image) },
            nvs: (nvs > 0).then_some(nvs * 0x1000),
            nvs_keys: phy,
            phy,
            coredump: (coredump > 0).then_some(coredump * 0x1000),
            storage: filled.then(fill),
            secure: if secure { Secure::V1 } else { Secure::V2 },
            ..OtaLayout::new(megabytes << 20)
        };
        if let Ok(table) = layout.plan() {
            prop_assert_eq!(Table::parse_csv(&table.to_csv()), Ok(table.clone()));
            let usage = table.usage(megabytes << 20, 0x1000, 0x8000).unwrap();
            let mut end = 0;
            for region in &usage.regions {
                prop_assert_eq!(region.offset, end);
                prop_assert!(region.size > 0);
                end += region.size;
            }
            prop_assert_eq!(end, megabytes << 20);
            prop_assert_eq!(usage.used + usage.free + usage.alignment_loss + 0x1000, end);
        }
    }
}
