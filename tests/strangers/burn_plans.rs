//! Our burn plans and unmodified espefuse, given the same wish for the same chip, leave the same
//! fuses, on paper and burned by our burner; what cannot be burned, both refuse.
//!
//! espefuse runs in its `--virt` mode, which keeps the registers of one chip in a file. Wishes are
//! random, from a seed that every failure prints. `STATION_BURN_PLAN_CASES` sets how many wishes
//! each chip gets, `STATION_BURN_PLAN_SEED` where they start. What only one of the two refuses is
//! listed here ([`OURS_ALONE`], [`THEIRS_ALONE`]) and explained in `docs/efuse-refusals.md`.

mod board;
mod case;
mod chance;
mod curve;
mod offence;
mod paper;

use std::thread;

use station_esp::efuse::EfuseImage;
use station_esp::efuse::map::FuseMap;
use station_esp::efuse::plan::{BurnPlan, Refusals, Snapshot};
use station_esp::{Chip, Revision};

use self::case::Case;
use self::chance::Chance;
use self::offence::{Offence, RARE, SHARED};
use self::paper::{Theirs, blank, espefuse, known_names};
use crate::support::TestStation;

/// Wishes for each chip when nobody says otherwise: what two cores do in a minute.
const CASES: u64 = 6;

/// Of so many rules a chip breaks one when nobody says otherwise; another chip breaks the next.
const SHARE: usize = 8;

/// Codes of refusals that espefuse does not have.
const OURS_ALONE: [&str; 9] = [
    "secure-boot-without-digest",
    "secure-boot-both",
    "secure-download-on",
    "encryption-without-key",
    "wish-contradicts",
    "key-blank",
    "mac-crc",
    "revision-too-old",
    "scheme-with-content",
];

/// What espefuse says when it refuses what a plan allows.
const THEIRS_ALONE: [&str; 5] = [
    // ESP-IDF's tables have fields that espefuse's protect commands do not take.
    "is not one of",
    // It looks at the purpose before the commands in front are burned.
    "must be readable, stop this operation",
    // The factory's: the reference voltage and the package of an ESP32.
    "Writing to VRef is not supported",
    "Burning PKG_VERSION is not supported",
    // Single bits, which a plan burns with the six bytes they are coded with.
    "(3/4 coding scheme does not allow this)",
];

/// Revisions whose maps or rules differ. espefuse cannot be told that its ESP32 is an old one.
fn revisions(chip: Chip) -> Vec<Revision> {
    if chip == Chip::Esp32 {
        vec![Revision::new(3, 0), Revision::new(1, 0)]
    } else if chip == Chip::Esp32P4 {
        vec![Revision::new(1, 0), Revision::new(3, 0)]
    } else if chip == Chip::Esp32H2 {
        vec![Revision::new(0, 1), Revision::new(1, 2)]
    } else {
        vec![Revision::new(0, 0)]
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok();
    value.map(|value| value.parse().unwrap())
}

/// A chip of this revision; half of them are not blank any more.
fn chip_with_a_past(
    chance: &mut Chance,
    chip: Chip,
    revision: Revision,
    known: &str,
    folder: &TestStation,
) -> Snapshot {
    let mut snapshot = blank(chip, revision);
    if chip == Chip::Esp32 && chance.one_in(3) {
        let scheme = snapshot.map().field("CODING_SCHEME").unwrap();
        snapshot.fuses.set_number(scheme, 1).unwrap();
    }
    if chance.one_in(2) {
        let earlier = Case::random(chance, &snapshot, known, folder.folder());
        if let Ok(plan) = BurnPlan::make(&snapshot, &earlier.wish, &[]) {
            let used = Snapshot {
                fuses: plan.result(),
                ..snapshot.clone()
            };
            if board::answers(&used) || chance.one_in(8) {
                return used;
            }
        }
    }
    snapshot
}

/// A wish that says something. Three of four are legal, if chance finds a legal one.
fn wish(chance: &mut Chance, snapshot: &Snapshot, known: &str, folder: &TestStation) -> Case {
    let legal = !chance.one_in(4);
    let mut tries = 0;
    loop {
        let case = Case::random(chance, snapshot, known, folder.folder());
        let says = !case.words.is_empty() || !case.last.is_empty();
        let fits = tries > 20 || !legal || BurnPlan::make(snapshot, &case.wish, &[]).is_ok();
        if says && fits {
            return case;
        }
        tries += 1;
    }
}

/// Tries random wishes for one chip; panics with the seeds of those that differ.
#[expect(
    clippy::print_stdout,
    reason = "how many a long run compared is seen with --nocapture"
)]
fn compare(chip: Chip) {
    let cases = from_environment("STATION_BURN_PLAN_CASES").unwrap_or(CASES);
    let first = from_environment("STATION_BURN_PLAN_SEED").unwrap_or(1);
    let folder = TestStation::new();
    let (mut burned, mut refused, mut differences) = (0, 0, Vec::new());
    let known: Vec<(Revision, String)> = revisions(chip)
        .into_iter()
        .map(|one| (one, known_names(&blank(chip, one), folder.folder())))
        .collect();
    for seed in first..first + cases {
        let mut chance = Chance(seed << 8 | chip as u64);
        let (revision, known) = chance.pick(&known);
        let snapshot = chip_with_a_past(&mut chance, chip, *revision, known, &folder);
        let case = wish(&mut chance, &snapshot, known, &folder);
        let stub = chance.one_in(2);
        match both(&snapshot, &case, stub, &folder) {
            Ok(true) => burned += 1,
            Ok(false) => refused += 1,
            Err(why) => differences.push(format!(
                "STATION_BURN_PLAN_SEED={seed} {chip} {revision}: espefuse {}\n{why}",
                case.all_words().join(" ")
            )),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    println!("{chip}: {burned} burned alike, {refused} refused");
    assert!(
        burned * 2 >= cases,
        "{chip}: only {burned} of {cases} wishes were legal"
    );
}

/// Plan, burner and espefuse at one wish: whether all burned it (true) or refused it (false);
/// otherwise how they differ. The burner works while espefuse starts.
fn both(
    snapshot: &Snapshot,
    case: &Case,
    stub: bool,
    folder: &TestStation,
) -> Result<bool, String> {
    let ours = BurnPlan::make(snapshot, &case.wish, &[]);
    let (theirs, board) = thread::scope(|scope| {
        let burns = ours.is_ok() && board::answers(snapshot);
        let board = burns.then(|| scope.spawn(move || board::burned(snapshot, &case.wish, stub)));
        let theirs = espefuse(snapshot, case, folder.folder());
        (theirs, board.map(|board| board.join().unwrap()))
    });
    let burned = judge(snapshot, &ours, &theirs)?;
    if let (Ok(plan), Some(board)) = (&ours, board) {
        let (map, board) = (snapshot.map(), board?);
        let result = if burned { theirs.fuses } else { plan.result() };
        if let Some(what) = difference(map, "board", &board, "expected", &result) {
            return Err(format!(
                "burned with stub={stub}: {what}\n{}",
                plan.describe()
            ));
        }
    }
    Ok(burned)
}

/// The first block that differs.
fn difference(
    map: &FuseMap,
    one: &str,
    ones: &EfuseImage,
    other: &str,
    others: &EfuseImage,
) -> Option<String> {
    map.blocks.iter().find_map(|block| {
        let (left, right) = (ones.block(block.number), others.block(block.number));
        let name = block.name;
        (left != right).then(|| format!("{name} differs\n{one} {left:08x?}\n{other} {right:08x?}"))
    })
}

/// Whether both burned (true) or refused (false); otherwise how they differ.
fn judge(
    snapshot: &Snapshot,
    ours: &Result<BurnPlan, Refusals>,
    theirs: &Theirs,
) -> Result<bool, String> {
    match (ours, &theirs.refusal) {
        (Ok(plan), None) => {
            let map = snapshot.map();
            let what = difference(map, "ours", &plan.result(), "theirs", &theirs.fuses);
            what.map_or(Ok(true), |what| Err(format!("{what}\n{}", plan.describe())))
        }
        (Err(_), Some(_)) => Ok(false),
        (Err(refusals), None) => {
            // A code that espefuse does not have excuses nothing else.
            let mut codes = refusals.0.iter().map(|refusal| refusal.code);
            let known = codes.all(|code| OURS_ALONE.contains(&code));
            known
                .then_some(false)
                .ok_or_else(|| format!("only we refuse: {refusals}\n{}", theirs.said))
        }
        (Ok(_), Some(said)) => {
            let known = THEIRS_ALONE.iter().any(|part| said.contains(part));
            known
                .then_some(false)
                .ok_or(format!("only espefuse refuses: {said}"))
        }
    }
}

/// Breaks every rule that this chip has, one at a time.
fn offend(chip: Chip) {
    let whole = from_environment("STATION_BURN_PLAN_CASES").is_some_and(|cases| cases > CASES);
    let folder = TestStation::new();
    let blank = blank(chip, revisions(chip)[0]);
    let rules = SHARED.iter().chain(&OURS_ALONE);
    let mut wrong = Vec::new();
    for (index, code) in rules.enumerate() {
        let turn = whole || RARE.contains(code) || (index + chip as usize).is_multiple_of(SHARE);
        let Some(offence) = turn
            .then(|| Offence::against(code, &blank, folder.folder()))
            .flatten()
        else {
            continue;
        };
        let theirs = espefuse(&offence.snapshot, &offence.case, folder.folder());
        if let Err(why) = convict(code, &offence, &theirs) {
            let words = offence.case.all_words().join(" ");
            wrong.push(format!("{chip} {code}: espefuse {words}\n{why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Whether the rule, and no other, was broken, and who minded.
fn convict(code: &str, offence: &Offence, theirs: &Theirs) -> Result<(), String> {
    let snapshot = &offence.snapshot;
    let refusals = match BurnPlan::make(snapshot, &offence.case.wish, &[]) {
        Ok(plan) => return Err(format!("we allow it\n{}", plan.describe())),
        Err(refusals) => refusals,
    };
    if refusals.0.iter().any(|refusal| refusal.code != code) {
        return Err(format!("we refuse for another reason: {refusals}"));
    }
    match (&theirs.refusal, OURS_ALONE.contains(&code)) {
        (None, false) => Err(format!("espefuse allows it: {}", theirs.said)),
        (Some(said), true) => Err(format!("espefuse refuses it, too: {said}")),
        (None, true) => Ok(()),
        (Some(said), false) => {
            let what = difference(
                snapshot.map(),
                "set",
                &snapshot.fuses,
                "left",
                &theirs.fuses,
            );
            what.map_or(Ok(()), |what| Err(format!("{said} and burned: {what}")))
        }
    }
}

macro_rules! every_chip {
    ($($module:ident $chip:ident)*) => {$(
        mod $module {
            #[test]
            fn espefuse_and_a_burn_plan_leave_the_same_fuses_or_both_refuse() {
                super::compare(super::Chip::$chip);
            }

            #[test]
            fn a_wish_that_breaks_one_rule_is_refused_by_both_and_burns_nothing() {
                super::offend(super::Chip::$chip);
            }
        }
    )*};
}

every_chip! {
    esp32 Esp32
    esp32s2 Esp32S2
    esp32s3 Esp32S3
    esp32c2 Esp32C2
    esp32c3 Esp32C3
    esp32c5 Esp32C5
    esp32c6 Esp32C6
    esp32c61 Esp32C61
    esp32h2 Esp32H2
    esp32h4 Esp32H4
    esp32p4 Esp32P4
    esp32s31 Esp32S31
}
