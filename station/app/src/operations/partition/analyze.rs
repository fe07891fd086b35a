//! What a flash is used for: `esp_partition_analyze`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_device::session::Session;
use station_esp::flash::size_text;
use station_esp::image::{Content, find_table, split_raw};
use station_esp::partition::{Kind, Purpose, Rules, TABLE_SECTOR, Table};
use station_esp::{Chip, picture};

use super::super::attached::reported;
use super::super::columns::columns;
use super::super::images::RawFile;
use super::super::place::read_table;
use super::super::source::{Origin, Source};
use super::super::target::{FileView, Target, blocking};
use super::content::{ContentView, Place, Seen};
use super::table::{FindingView, RuleParameters, TableView, refused};
use crate::operation::{Call, Declaration, Effect, Operation, OperationError};
use crate::station::Station;

/// Smallest flash that is thought of where nothing says how large it is.
const SMALLEST: u64 = 1 << 20;
/// Files from this length on are looked through for a table in the middle of a flash.
const WHOLE: usize = 64 << 10;

/// Parameters of `esp_partition_analyze`.
#[derive(clap::Args, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AnalyzeParameters {
    /// A table, CSV or binary, or a raw file of a whole flash; or a chip
    #[command(flatten)]
    #[serde(flatten)]
    pub source: Source,
    /// What the table must agree with
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RuleParameters,
    /// Only look at the table of a chip, not at what its partitions hold
    #[arg(long)]
    #[serde(default)]
    pub table_only: bool,
    /// File to write a picture to, SVG
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub svg: Option<PathBuf>,
}

/// A stretch of flash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RegionView {
    /// First byte
    pub offset: u32,
    /// Bytes
    pub size: u32,
    /// reserved, bootloader, table, partition, alignment or free
    pub purpose: String,
    /// The partition, if it is one
    pub partition: Option<String>,
}

/// What a flash is used for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AnalyzeView {
    /// The chip
    #[schemars(with = "String")]
    pub chip: Chip,
    /// Bytes of flash
    pub flash_size: u32,
    /// The table
    pub table: TableView,
    /// The flash from 0 to its end; none when a partition lies beyond it
    pub regions: Vec<RegionView>,
    /// Bytes of bootloader, table and partitions
    pub used: u32,
    /// Bytes that nothing uses
    pub free: u32,
    /// Bytes of the largest free region
    pub largest_free: u32,
    /// Bytes lost to alignment
    pub alignment_loss: u32,
    /// What the places hold, where flash was looked at
    pub contents: Vec<ContentView>,
    /// What is wrong, or looks like it
    pub findings: Vec<FindingView>,
    /// The picture that was written
    pub picture: Option<FileView>,
}

/// What was found, before it is judged.
struct Found {
    chip: Chip,
    flash_size: u32,
    table: Table,
    rules: Rules,
    seen: Vec<Seen>,
}

/// The places of a flash that can hold something: bootloader, table, partitions.
fn places(table: &Table, chip: Chip, table_offset: u32) -> Vec<Place> {
    let entries = table.entries();
    let boot = chip.spec().bootloader_offset;
    let mut places = Vec::new();
    let described = |offset| entries.iter().any(|entry| entry.offset == offset);
    if boot < table_offset && !described(boot) {
        places.push(Place {
            name: "bootloader".to_owned(),
            offset: boot,
            size: table_offset - boot,
        });
    }
    if !described(table_offset) {
        places.push(Place {
            name: "partition-table".to_owned(),
            offset: table_offset,
            size: TABLE_SECTOR,
        });
    }
    places.extend(entries.iter().map(|entry| Place {
        name: entry.name.clone(),
        offset: entry.offset,
        size: entry.size,
    }));
    places
}

impl Found {
    /// A table, or a raw file of a whole flash with one in it.
    fn in_file(
        name: &str,
        content: &[u8],
        chip: Option<Chip>,
        mut rules: Rules,
    ) -> Result<Self, OperationError> {
        let whole = (content.len() >= WHOLE).then(|| find_table(content));
        let whole = whole.flatten();
        let chip = chip.ok_or_else(|| {
            OperationError::usage("chip-missing", "a file does not say which chip it is for")
                .hint("name the chip: `--chip esp32c3`")
        })?;
        let (table, pieces) = match whole {
            Some((offset, table)) => {
                rules.table_offset = offset;
                let pieces = split_raw(content, chip, &table, offset);
                (table, Some(pieces))
            }
            None => {
                // What does not fit the flash is a finding here, no refusal.
                let flash_size = rules.flash_size.take();
                let table = Table::parse(content, &rules).map_err(|error| refused(name, &error))?;
                rules.flash_size = flash_size;
                (table, None)
            }
        };
        let length = pieces.as_ref().map(|_| content.len() as u64);
        let least = length.unwrap_or(0).max(table.end()).max(SMALLEST);
        let usual = least.checked_next_power_of_two().unwrap_or(u64::MAX);
        let flash_size = rules
            .flash_size
            .unwrap_or_else(|| u32::try_from(usual).unwrap_or(u32::MAX));
        let seen = pieces.map_or_else(Vec::new, |pieces| {
            let places = places(&table, chip, rules.table_offset).into_iter();
            places.map(|place| Seen::in_file(place, &pieces)).collect()
        });
        Ok(Self {
            chip,
            flash_size,
            table,
            rules,
            seen,
        })
    }

    /// The table of a chip, and what its flash holds.
    async fn on_chip(
        session: &mut Session,
        rules: Rules,
        table_only: bool,
    ) -> Result<Self, OperationError> {
        let table = read_table(session, rules.table_offset).await?;
        let chip = session.identity().chip;
        let flash_size = session.flash_size();
        let mut seen = Vec::new();
        if !table_only {
            for place in places(&table, chip, rules.table_offset) {
                let end = u64::from(place.offset) + u64::from(place.size);
                if end <= u64::from(flash_size) {
                    seen.push(Seen::on_chip(session, place).await?);
                }
            }
        }
        Ok(Self {
            chip,
            flash_size: rules.flash_size.unwrap_or(flash_size),
            table,
            rules,
            seen,
        })
    }

    fn picture(&self) -> String {
        let fills: Vec<_> = self.seen.iter().map(Seen::fill).collect();
        let at = self.rules.table_offset;
        picture::flash_map(self.chip, self.flash_size, at, &self.table, &fills)
    }

    /// What is wrong with it, or looks like it.
    fn findings(&self) -> Vec<FindingView> {
        let warnings = self.table.warnings(&self.rules);
        let mut findings: Vec<_> = warnings.iter().map(FindingView::of).collect();
        if let Err(error) = self.table.check_flash_size(self.flash_size) {
            findings.push(FindingView::new(error.code(), &error));
        }
        for seen in &self.seen {
            let entry = self.table.find(&seen.place.name);
            let is_app = entry.is_some_and(|entry| entry.kind == Kind::App);
            let name = &seen.place.name;
            if is_app && matches!(seen.content, Content::Data | Content::Table) {
                let message = format!(
                    "`{name}` holds no image that can be read as it is: damaged, or encrypted"
                );
                findings.push(FindingView::new("partition-no-image", &message));
            }
            if is_app && seen.content == Content::Image && seen.used.is_none() {
                let message = format!("the image in `{name}` leads out of its partition");
                findings.push(FindingView::new("partition-image-too-large", &message));
            }
        }
        if let Some(app) = self.table.default_app() {
            let seen = self.seen.iter().find(|seen| seen.place.name == app.name);
            if seen.is_some_and(|seen| seen.content == Content::Erased) {
                let message = format!("`{}`, which starts first, is erased", app.name);
                findings.push(FindingView::new("partition-app-erased", &message));
            }
        } else {
            let message = "no application that starts unless one is chosen";
            findings.push(FindingView::new("partition-no-app", &message));
        }
        findings
    }

    fn view(self, picture: Option<FileView>) -> AnalyzeView {
        let boot = self.chip.spec().bootloader_offset;
        let usage = self
            .table
            .usage(self.flash_size, boot, self.rules.table_offset)
            .ok();
        let count = |of: fn(&station_esp::partition::Usage) -> u32| usage.as_ref().map_or(0, of);
        AnalyzeView {
            chip: self.chip,
            flash_size: self.flash_size,
            used: count(|usage| usage.used),
            free: count(|usage| usage.free),
            largest_free: count(|usage| usage.largest_free),
            alignment_loss: count(|usage| usage.alignment_loss),
            findings: self.findings(),
            table: TableView::of(&self.table, &self.rules),
            contents: self.seen.iter().map(Seen::view).collect(),
            regions: usage.map_or_else(Vec::new, |usage| {
                usage.regions.into_iter().map(region).collect()
            }),
            picture,
        }
    }
}

fn region(region: station_esp::partition::Region) -> RegionView {
    let (purpose, partition) = match region.purpose {
        Purpose::Reserved => ("reserved", None),
        Purpose::Bootloader => ("bootloader", None),
        Purpose::Table => ("table", None),
        Purpose::Partition(name) => ("partition", Some(name)),
        Purpose::Alignment => ("alignment", None),
        Purpose::Free => ("free", None),
    };
    RegionView {
        offset: region.offset,
        size: region.size,
        purpose: purpose.to_owned(),
        partition,
    }
}

/// `esp_partition_analyze`.
#[derive(Debug)]
pub struct PartitionAnalyze;

impl PartitionAnalyze {
    async fn file(
        station: &Station,
        file: &Path,
        chip: Option<Chip>,
        rules: Rules,
    ) -> Result<Found, OperationError> {
        let name = file.display().to_string();
        let content = RawFile::read(station, file).await?.into_bytes();
        blocking(move || Found::in_file(&name, &content, chip, rules)).await
    }
}

#[async_trait]
impl Operation for PartitionAnalyze {
    const DECLARATION: Declaration = Declaration {
        name: "esp_partition_analyze",
        aliases: &[],
        command: &["partition", "analyze"],
        title: "What a flash is used for",
        summary: "Takes a partition table, a file of a whole flash or a chip apart: what every stretch is for, what is free and what \
                  alignment costs, what the partitions hold where flash can be looked at, and what looks wrong; draws it if asked.",
        effect: Effect::Read,
        idempotent: true,
    };
    type Parameters = AnalyzeParameters;
    type Output = AnalyzeView;

    async fn invoke(
        station: &Station,
        parameters: AnalyzeParameters,
        call: &Call,
    ) -> Result<AnalyzeView, OperationError> {
        let rules = parameters.rules.rules()?;
        let target = parameters.svg.as_ref();
        let target = target.map(|out| Target::new(station, out)).transpose()?;
        let found = match parameters.source.origin()? {
            Origin::File(file) => Self::file(station, file, parameters.source.chip, rules).await?,
            Origin::Chip(attached) => {
                let mut session = attached.connect(station, call).await?;
                let looking = Found::on_chip(&mut session, rules, parameters.table_only);
                let found = reported(call, "looking", None, looking).await;
                attached.finish(session, found).await?
            }
        };
        blocking(move || {
            let picture = match &target {
                Some(target) => Some(target.write(found.picture().as_bytes())?),
                None => None,
            };
            Ok(found.view(picture))
        })
        .await
    }

    fn words(output: &AnalyzeView) -> String {
        let head = ["offset", "end", "size", "use", "holds"].map(str::to_owned);
        let mut rows = vec![head];
        for region in &output.regions {
            let name = region.partition.as_deref().unwrap_or(&region.purpose);
            let place = if region.purpose == "table" {
                "partition-table"
            } else {
                name
            };
            let holds = output.contents.iter().find(|one| one.name == place);
            rows.push([
                format!("{:#x}", region.offset),
                format!("{:#x}", u64::from(region.offset) + u64::from(region.size)),
                size_text(region.size),
                name.to_owned(),
                holds.map_or_else(String::new, held),
            ]);
        }
        let mut text = format!(
            "{} with {} of flash: {} used, {} free, {} lost to alignment\n{}",
            output.chip.title(),
            size_text(output.flash_size),
            size_text(output.used),
            size_text(output.free),
            size_text(output.alignment_loss),
            columns(&rows)
        );
        for finding in &output.findings {
            text.push_str(&format!("\nwarning: {}", finding.message));
        }
        if let Some(picture) = &output.picture {
            text.push_str(&format!("\n{}", picture.words()));
        }
        text
    }
}

/// What a place holds, in words.
fn held(one: &ContentView) -> String {
    match one.used.filter(|_| one.content != "erased") {
        None => one.content.clone(),
        Some(used) => {
            let percent = u64::from(used) * 100 / u64::from(one.size.max(1));
            format!("{}, {used} bytes ({percent}%)", one.content)
        }
    }
}
