//! Unmodified esp-idf-nvs-partition-gen makes the same NVS images as we do, and we read what it makes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use station_esp::nvs::{Content, NvsKeys, Value, Version, build, build_encrypted, parse};
use station_esp::secret::Secret;
use tempfile::TempDir;

use crate::support::{python, root};

/// One image that both are to make.
struct Job {
    csv: String,
    size: u32,
    version: Version,
    encrypted: bool,
}

impl Job {
    fn new(csv: impl Into<String>, size: u32, version: Version) -> Self {
        Self {
            csv: csv.into(),
            size,
            version,
            encrypted: false,
        }
    }

    fn ours(&self, bench: &Bench) -> Result<Vec<u8>, String> {
        let files = |name: &str| std::fs::read(bench.at(name)).map_err(|error| error.to_string());
        let content = Content::parse_csv(&self.csv, &files).map_err(|error| error.to_string())?;
        let image = if self.encrypted {
            build_encrypted(&content, self.size, self.version, &bench.keys)
        } else {
            build(&content, self.size, self.version)
        };
        let image = image.map_err(|error| error.to_string())?;
        let keys = self.encrypted.then_some(&bench.keys);
        let read = parse(&image, keys).map_err(|error| error.to_string())?;
        assert_eq!(read.findings, [], "{}", self.csv);
        assert_eq!(read.content().unwrap(), content, "{}", self.csv);
        Ok(image)
    }
}

/// A folder in which the tool reads and writes, and the keys it encrypts with.
struct Bench {
    folder: TempDir,
    keys: NvsKeys,
}

impl Bench {
    fn new() -> Self {
        let keys = NvsKeys::new(Secret::new((100..164).collect())).unwrap();
        let bench = Self {
            folder: TempDir::new().unwrap(),
            keys,
        };
        std::fs::write(bench.at("keys.bin"), bench.keys.to_partition().expose()).unwrap();
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the tool once per command line; what it answered.
    fn commands(&self, commands: &[Vec<String>]) -> Vec<String> {
        let mut lines = String::new();
        for command in commands {
            let words: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
            writeln!(lines, "[{}]", words.join(",")).unwrap();
        }
        std::fs::write(self.at("jobs"), lines).unwrap();
        let driver = root().join("tests/strangers/nvs_images.py");
        let ran = python()
            .arg(driver)
            .arg(self.folder.path())
            .arg(self.at("jobs"))
            .output()
            .unwrap();
        let answers = std::fs::read_to_string(self.at("answers"))
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
        let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
        assert_eq!(answers.len(), commands.len());
        answers
    }

    /// What the tool makes of these jobs.
    fn theirs(&self, jobs: &[Job]) -> Vec<Result<Vec<u8>, String>> {
        let mut commands = Vec::new();
        for (number, job) in jobs.iter().enumerate() {
            std::fs::write(self.at(&format!("{number}.csv")), &job.csv).unwrap();
            let version = match job.version {
                Version::V1 => "1",
                Version::V2 => "2",
            };
            let mut words = if job.encrypted {
                vec!["encrypt", "--inputkey", "keys.bin"]
            } else {
                vec!["generate"]
            };
            words.extend(["--version", version]);
            let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            words.push(format!("{number}.csv"));
            words.push(format!("{number}.bin"));
            words.push(format!("{:#x}", job.size));
            commands.push(words);
        }
        let answers = self.commands(&commands);
        let made = |(number, answer): (usize, String)| {
            if answer == "ok" {
                Ok(std::fs::read(self.at(&format!("{number}.bin"))).unwrap())
            } else {
                Err(answer)
            }
        };
        answers.into_iter().enumerate().map(made).collect()
    }

    /// Both make the same of every job, or both refuse it; how many were made.
    fn agree(&self, jobs: &[Job]) -> usize {
        let mut made = 0;
        for (job, theirs) in jobs.iter().zip(self.theirs(jobs)) {
            let csv = &job.csv;
            let about = format!("{:?} of {:#x}:\n{csv}", job.version, job.size);
            match (job.ours(self), theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert_same(&ours, &theirs, &about);
                    made += 1;
                }
                (Err(_), Err(_)) => {}
                (ours, theirs) => panic!(
                    "ours {:?}, theirs {:?} for {about}",
                    ours.map(|image| image.len()),
                    theirs.map(|image| image.len())
                ),
            }
        }
        made
    }
}

/// The tool leaves off the unused pages of images of one or two pages, and nothing else.
fn assert_same(ours: &[u8], theirs: &[u8], about: &str) {
    assert!(
        theirs.len() == ours.len() || ours.len() <= 0x2000,
        "{about}"
    );
    let (same, rest) = ours.split_at(theirs.len());
    if let Some(at) = same
        .iter()
        .zip(theirs)
        .position(|(our, their)| our != their)
    {
        panic!("images differ at {at:#x}: {about}");
    }
    assert!(rest.iter().all(|byte| *byte == 0xFF), "{about}");
}

const HEADER: &str = "key,type,encoding,value\n";

/// Encoding and value of one row, as CSV.
fn cell() -> BoxedStrategy<String> {
    let text = prop_oneof![
        "[a-zA-Z0-9 ,\"'#;=\n\t]{0,80}",
        "\\PC{0,40}",
        "[a-z]{900,1900}",
        "[a-z]{1950,2100}",
        "[a-z]{3930,3967}",
    ]
    .prop_filter("a line inside quotes is no comment", |text| {
        !text.contains("\n#")
    })
    .prop_map(|text| format!("string,\"{}\"", text.replace('"', "\"\"")));
    let blob = prop_oneof![
        0..200_usize,
        1900..2050_usize,
        3900..4100_usize,
        0..9000_usize
    ]
    .prop_flat_map(|length| prop::collection::vec(any::<u8>(), length));
    let hex = blob.prop_map(|bytes| {
        let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02X}").unwrap();
            digits
        });
        format!("hex2bin,{digits}")
    });
    prop_oneof![
        6 => integer(),
        3 => text,
        2 => hex,
        1 => "([A-Za-z0-9+/]{4}){0,60}".prop_map(|text| format!("base64,{text}")),
        1 => "[a-z ]{0,90}".prop_map(|text| format!("binary,{text}")),
        1 => (0..300_u32, any::<u8>(), "[a-z]{0,20}", any::<bool>()).prop_map(
            |(more, fill, text, sized)| {
                let kind = if sized { "blob_sz_fill" } else { "blob_fill" };
                let length = text.len() as u32 + more;
                format!("{kind}({length};0x{fill:02x}),{text}")
            }
        ),
    ]
    .boxed()
}

fn integer() -> BoxedStrategy<String> {
    prop_oneof![
        any::<u8>().prop_map(|number| format!("u8,{number}")),
        any::<i8>().prop_map(|number| format!("i8,{number}")),
        any::<u16>().prop_map(|number| format!("U16, {number} ")),
        any::<i16>().prop_map(|number| format!("i16,{number:+}")),
        any::<u32>().prop_map(|number| format!("u32,{number:012}")),
        any::<i32>().prop_map(|number| format!("i32,{number}")),
        any::<u64>().prop_map(|number| format!("u64,{number}")),
        any::<i64>().prop_map(|number| format!("i64,{number}")),
        any::<i16>().prop_map(|number| format!("u8,{number}")),
    ]
    .boxed()
}

/// A table of some namespaces, each with rows of its own; long ones are all integers.
fn table() -> impl Strategy<Value = String> {
    let name = "[a-zA-Z0-9_.-][a-zA-Z0-9_. #-]{0,14}";
    let valid = integer().prop_filter("u8 only as far as it goes", |cell| {
        cell.strip_prefix("u8,")
            .is_none_or(|number| number.parse::<u8>().is_ok())
    });
    let row = prop_oneof![
        (name, cell()).prop_map(|row| vec![row]),
        prop::collection::vec((name, valid), 0..60),
    ];
    let rows = prop::collection::vec(row, 0..12).prop_map(|rows| rows.concat());
    prop::collection::vec((name, rows), 1..4).prop_map(|namespaces| {
        let mut csv = String::from(HEADER);
        let mut seen = BTreeSet::new();
        for (namespace, rows) in namespaces {
            if !seen.insert(namespace.clone()) {
                continue;
            }
            writeln!(csv, "# namespace {namespace}\n{namespace},namespace,,").unwrap();
            let mut keys = BTreeSet::new();
            for (key, cell) in rows {
                let special = key.starts_with("sta.") || key.starts_with("ap.");
                if !special && keys.insert(key.clone()) {
                    writeln!(csv, "{key},data,{cell}").unwrap();
                }
            }
        }
        csv
    })
}

#[test]
fn random_tables_give_the_same_images_plain_and_encrypted() {
    let bench = Bench::new();
    let mut runner = TestRunner::default();
    let sizes = prop_oneof![Just(1), Just(2), 3..16_u32];
    let mut jobs = Vec::new();
    for number in 0..240 {
        let csv = table().new_tree(&mut runner).unwrap().current();
        let pages = sizes.new_tree(&mut runner).unwrap().current();
        for version in [Version::V1, Version::V2] {
            let mut job = Job::new(csv.clone(), pages * 0x1000, version);
            job.encrypted = number % 5 == 0;
            jobs.push(job);
        }
    }
    let made = bench.agree(&jobs);
    assert!(made > jobs.len() / 4, "only {made} of {} fit", jobs.len());
}

#[test]
fn values_at_the_end_of_a_page_lie_in_the_same_place() {
    let bench = Bench::new();
    let mut jobs = Vec::new();
    for before in 118..=126 {
        let mut csv = format!("{HEADER}n,namespace,,\n");
        for number in 1..before {
            writeln!(csv, "k{number},data,u8,{number}").unwrap();
        }
        for length in [
            0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 128, 160, 161, 192, 223, 4000,
        ] {
            for version in [Version::V1, Version::V2] {
                let end = "last,data,u8,7\nlater,namespace,,\nlast,data,i64,-1\n";
                let hex = "5a".repeat(length);
                jobs.push(Job::new(
                    format!("{csv}b,data,hex2bin,{hex}\n{end}"),
                    0x5000,
                    version,
                ));
                let text = "t".repeat(length.min(3967));
                jobs.push(Job::new(
                    format!("{csv}s,data,string,{text}\n{end}"),
                    0x5000,
                    version,
                ));
            }
        }
    }
    for length in [3871, 3967, 3968, 4000, 7967, 7968, 7969, 8000, 8001, 60_000] {
        let hex = "c3".repeat(length);
        let csv = format!("{HEADER}n,namespace,,\nb,data,hex2bin,{hex}\ne,data,u8,1\n");
        for size in [0x1000, 0x2000, 0x3000, 0x4000, 0x10000, 0x12000] {
            jobs.push(Job::new(csv.clone(), size, Version::V2));
        }
    }
    assert!(bench.agree(&jobs) > 300);
}

/// Rows of a namespace `n`, good and bad.
const ROWS: &[&str] = &[
    "k,data,u8,256",
    "k,data,u8,-1",
    "k,data,u8,0x10",
    "k,data,u8,",
    "k,data,u8,1_0",
    "k,data,u8,1__0",
    "k,data,u8,_1",
    "k,data,u8,1_",
    "k,data,u8,+5",
    "k,data,u8,--5",
    "k,data,u8, 7\t",
    "k,data,u8,-0",
    "k,data,i8,-128",
    "k,data,i8,-129",
    "k,data,i8,128",
    "k,data,u64,18446744073709551615",
    "k,data,u64,18446744073709551616",
    "k,data,i64,-9223372036854775808",
    "k,data,i64,9223372036854775808",
    "k,data,u32,1e3",
    "k,data,u32,1.0",
    "k,data,U32,9",
    "k,data,float,1",
    "k,data,,1",
    "k,data,string,",
    "k,data,string,\"\"",
    "k,data,string,\"a,\"\"b\"\"\nc\"",
    "k,data,string,a\"b\"c",
    "k,data,string,  spaced  ",
    "k,data,string,äöü€😀",
    "k,data,string",
    "k,data",
    "k",
    "k,data,hex2bin,",
    "k,data,hex2bin,0",
    "k,data,hex2bin,0g",
    "k,data,hex2bin, 0aFF ",
    "k,data,hex2bin,0a 0b",
    "k,data,base64,",
    "k,data,base64,QQ==",
    "k,data,base64,QUI=",
    "k,data,base64,QQ",
    "k,data,base64,Q",
    "k,data,binary,plain text",
    "k,data,binary,",
    "k,file,binary,raw",
    "k,file,hex2bin,digits",
    "k,file,base64,coded",
    "k,file,string,text",
    "k,file,string,raw",
    "k,file,u16,number",
    "k,file,binary,absent",
    "k,file,binary,nothing",
    "k,file,string,nothing",
    "k,file,hex2bin,text",
    "k,data,blob_fill(4;0x00),",
    "k,data,blob_fill(4;0xfF),ab",
    "k,data,blob_fill(4;0x00),abcde",
    "k,data,blob_sz_fill(4;0x20),ab",
    "k,data,blob_fill(4;0x0),a",
    "k,data,blob_fill(x;0x00),a",
    "k,data,blob_fill(0;0x00),",
    "k,data,BLOB_FILL(4;0x00),",
    "k,data,blob_fill,a",
    "k,data,blob_sz_fill(0;0x00),",
    "sixteen_letters_,data,u8,1",
    "fifteen_letters,data,u8,1",
    "sixteen_letters_,namespace,,",
    "fifteen_letters,namespace,,",
    "two,namespace",
    "n,namespace,,",
    "\"#k\",data,u8,1",
    "#k,data,u8,x",
    "k with space,data,u8,1",
    "\n\nk,data,u8,1\n\n",
    "sta.ssid,data,string,net",
    "sta.pswd,data,string,secret\nsta.ssid,data,string,net",
    "ap.ssid,data,string,net\nap.passwd,data,string,password\nap.authmode,data,u8,3",
    "ap.authmode,data,u8,0\nap.ssid,data,string,net\nap.passwd,data,string,password",
    "ap.authmode,data,u8,4\nap.passwd,data,string,password\nap.ssid,data,string,net",
];

#[test]
fn what_both_take_and_what_both_refuse() {
    let bench = Bench::new();
    let files: [(&str, &[u8]); 6] = [
        ("raw", &[0, 255, 10, 13]),
        ("digits", b" 00fF\n"),
        ("coded", b"QUJD\nRA==\n"),
        ("text", "größer\r\nals".as_bytes()),
        ("number", b"12\n"),
        ("nothing", b""),
    ];
    for (name, content) in files {
        std::fs::write(bench.at(name), content).unwrap();
    }
    let mut jobs = Vec::new();
    for row in ROWS {
        for version in [Version::V1, Version::V2] {
            jobs.push(Job::new(
                format!("{HEADER}n,namespace,,\n{row}\n"),
                0x3000,
                version,
            ));
        }
    }
    for length in [1983, 1984, 1985] {
        let (text, hex) = ("t".repeat(length), "00".repeat(length));
        for row in [
            format!("k,data,string,{text}"),
            format!("k,data,hex2bin,{hex}"),
        ] {
            let csv = format!("{HEADER}n,namespace,,\n{row}\n");
            jobs.push(Job::new(csv.clone(), 0x3000, Version::V1));
            jobs.push(Job::new(csv, 0x3000, Version::V2));
        }
    }
    for csv in [
        HEADER,
        "key,type,encoding,value",
        "key,type,value\nn,namespace,\nk,data,1\n",
        "value,note,encoding,type,key\n,x,,namespace,n\n5,y,u8,data,k\n",
        "key,type,encoding,value\r\nn,namespace,,\r\nk,data,string,\"a\r\nb\"\r\n",
        "# first\nkey,type,encoding,value\n# second\nn,namespace,,\nk,data,u8,1",
    ] {
        jobs.push(Job::new(csv, 0x3000, Version::V2));
    }
    for size in [
        0, 1, 0xFFF, 0x1000, 0x1001, 0x2000, 0x3000, 0x6000, 0x10_0000,
    ] {
        jobs.push(Job::new(
            format!("{HEADER}n,namespace,,\n"),
            size,
            Version::V2,
        ));
    }
    let names: String = (0..254).fold(String::from(HEADER), |mut csv, number| {
        writeln!(csv, "n{number},namespace,,\nk,data,u8,{number}").unwrap();
        csv
    });
    jobs.push(Job::new(names, 0x8000, Version::V2));
    let made = bench.agree(&jobs);
    assert!(
        made > 80 && made < jobs.len() - 40,
        "{made} of {}",
        jobs.len()
    );
}

#[test]
fn what_only_we_refuse_is_what_the_module_says() {
    let bench = Bench::new();
    let names: String = (0..255).fold(String::new(), |mut csv, number| {
        writeln!(csv, "n{number},namespace,,").unwrap();
        csv
    });
    let cases = [
        ("n,namespace,,\nk,data,u8,1\nk,data,u8,2\n", "nvs-duplicate"),
        ("k,data,u8,1\n", "nvs-no-namespace"),
        ("n,namespace,,\nk,number,u8,1\n", "nvs-type"),
        ("n,namespace,,\nk,data,String,a\n", "nvs-encoding"),
        ("n,namespace,,\n,data,u8,1\n", "nvs-name"),
        ("n,namespace,,\nä,data,u8,1\n", "nvs-name"),
        ("n,namespace,,\nk,data,string,\"a\0b\"\n", "nvs-nul"),
        ("n,namespace,,\nk,data,binary,ä\n", "nvs-not-ascii"),
        ("n,namespace,,\nk,data,base64,QQ==QQ==\n", "nvs-base64"),
        ("n,namespace,,\nk,data,base64,QU?JD\n", "nvs-base64"),
        ("n,namespace,,\nk,data,u8,٣\n", "nvs-number"),
        ("n,namespace,,\nk,data,string,a,b\n", "nvs-columns"),
        ("n,namespace,,\nk,data,string,\"a\"b\n", "nvs-quotes"),
        ("n,namespace,,\nk,data,string,\"a\n", "nvs-quotes"),
        (
            "n,namespace,,\nk,data,string,\"a\n#b\n\"\n",
            "nvs-comment-in-quotes",
        ),
        (
            "n,namespace,,\nk,data,blob_fill(4;0x00)x,a\n",
            "nvs-encoding",
        ),
        (names.as_str(), "nvs-too-many-namespaces"),
    ];
    let jobs = cases.map(|(rows, _)| Job::new(format!("{HEADER}{rows}"), 0x4000, Version::V2));
    let bare = ["", "key,type,value\n"].map(|csv| Job::new(csv, 0x3000, Version::V2));
    assert!(bench.theirs(&bare).iter().all(Result::is_ok));
    assert!(bare.iter().all(|job| job.ours(&bench).is_err()));
    for ((rows, code), theirs) in cases.iter().zip(bench.theirs(&jobs)) {
        assert!(theirs.is_ok(), "{rows}: {theirs:?}");
        let ours = Content::parse_csv(&format!("{HEADER}{rows}"), &|_| Err(String::new()));
        assert_eq!(ours.unwrap_err().code(), *code, "{rows}");
        // Whatever it is, it is read without harm.
        let _ = parse(&theirs.unwrap(), None).unwrap();
    }
}

#[test]
fn what_we_do_otherwise_is_what_the_module_says() {
    let bench = Bench::new();
    let back =
        "a,namespace,,\nk,data,u8,1\nb,namespace,,\nk,data,u8,2\na,namespace,,\nm,data,u8,3\n";
    let whole = format!("a,namespace,,\nk,data,string,{}\n", "t".repeat(3999));
    let wifi = "n,namespace,,\nsta.ssid,data,string,net\nsta.pmk,data,hex2bin,0102\n";
    let tables = [back, &whole, wifi];
    let jobs = tables.map(|rows| Job::new(format!("{HEADER}{rows}"), 0x4000, Version::V2));
    let theirs = bench.theirs(&jobs);
    let theirs_back = parse(theirs[0].as_ref().unwrap(), None).unwrap();
    assert_eq!(theirs_back.find("b", "m").unwrap().value, Value::U8(3));
    let ours_back = parse(&jobs[0].ours(&bench).unwrap(), None).unwrap();
    assert_eq!(ours_back.find("a", "m").unwrap().value, Value::U8(3));
    assert!(theirs[1].is_err(), "{:?}", theirs[1]);
    let ours = parse(&jobs[1].ours(&bench).unwrap(), None).unwrap();
    assert_eq!(
        ours.find("a", "k").unwrap().value,
        Value::String("t".repeat(3999))
    );
    // They write the key twice, once as they add it themselves.
    assert!(
        !parse(theirs[2].as_ref().unwrap(), None)
            .unwrap()
            .superseded
            .is_empty()
    );
    let ours = parse(&jobs[2].ours(&bench).unwrap(), None).unwrap();
    assert!(ours.superseded.is_empty());
    assert_eq!(
        ours.find("n", "sta.pmk").unwrap().value,
        Value::Blob(vec![1, 2])
    );
}

#[test]
fn keys_partitions_are_the_same() {
    let bench = Bench::new();
    let hmac_key = Secret::new((7..39).collect());
    std::fs::write(bench.at("hmac.bin"), hmac_key.expose()).unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let answers = bench.commands(&[
        words("generate-key --key_protect_hmac --kp_hmac_inputkey hmac.bin --keyfile made.bin"),
        words("generate-key --keyfile drawn.bin"),
    ]);
    assert_eq!(answers, ["ok", "ok"]);
    let made = std::fs::read(bench.at("keys/made.bin")).unwrap();
    let ours = NvsKeys::from_hmac(&hmac_key).unwrap();
    assert!(made == ours.to_partition().expose());
    let drawn = Secret::new(std::fs::read(bench.at("keys/drawn.bin")).unwrap());
    let read = NvsKeys::parse_partition(&drawn).unwrap();
    assert!(read.to_partition() == drawn);
}
