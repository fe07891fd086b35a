//! Yield, pareto and traces over small lines whose numbers can be counted by hand.

use chrono::TimeDelta;

use super::{
    Filter, GroupBy, attempts, failure_pareto, measurements, runs, serials, steps, unit_trace,
    units, wilson, yields,
};
use crate::event::RunId;
use crate::journal::tests::story::{
    Place, Story, finished, mac, measured, noon, pool, started, step_finished, step_started,
};
use crate::outcome::{Outcome, StepOutcome};

#[test]
fn wilson_intervals_equal_the_published_ones() {
    // Newcombe 1998, table I, method 3.
    for (good, all, low, high) in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ] {
        let interval = wilson(good, all).unwrap();
        assert!(
            (interval.low - low).abs() < 5e-5,
            "{good}/{all}: {interval:?}"
        );
        assert!(
            (interval.high - high).abs() < 5e-5,
            "{good}/{all}: {interval:?}"
        );
    }
    assert_eq!(wilson(0, 0), None);
    let all = wilson(20, 20).unwrap();
    assert!(all.high == 1.0 && (all.low - (1.0 - 0.1611)).abs() < 5e-5);
}

/// Units 1 to 4 on bays 1 and 2; one is repaired, one stays bad, one is stopped first.
async fn two_runs(place: &Place) {
    let journal = place.journal();
    let mut story = Story::begin(&journal, 2).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.unit(2, &mac(2), Outcome::Fail).await;
    story.unit(1, &mac(3), Outcome::Error).await;
    story.unit(2, &mac(4), Outcome::Aborted).await;
    let unknown = journal.next_attempt();
    story.tell(started(unknown, 1)).await.unwrap();
    story.finish(unknown, 1, None, None, Outcome::Error).await;
    story.end().await;
    let mut story = Story::begin(&journal, 2).await;
    story.unit(1, &mac(2), Outcome::Fail).await;
    story.unit(1, &mac(3), Outcome::Pass).await;
    story.unit(1, &mac(4), Outcome::Pass).await;
    story.end().await;
}

#[tokio::test]
async fn first_pass_yield_counts_first_attempts_and_final_yield_last_ones() {
    let place = Place::new();
    two_runs(&place).await;
    let reader = place.reader();
    let rows = yields(&reader, GroupBy::Product, &Filter::default()).unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(
        (row.group.as_str(), row.attempts, row.unidentified),
        ("sensor", 7, 1)
    );
    assert_eq!((row.first_units, row.first_pass), (4, 2));
    assert_eq!((row.units, row.final_pass), (4, 3));
    assert_eq!((row.first_yield, row.final_yield), (Some(0.5), Some(0.75)));
    let interval = wilson(2, 4).unwrap();
    assert_eq!(
        (row.first_low, row.first_high),
        (Some(interval.low), Some(interval.high))
    );
}

#[tokio::test]
async fn a_repeat_in_another_run_is_nobodys_first_attempt() {
    let place = Place::new();
    two_runs(&place).await;
    let reader = place.reader();
    let rows = yields(&reader, GroupBy::Run, &Filter::default()).unwrap();
    let counted: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.group.as_str(),
                row.first_units,
                row.first_pass,
                row.units,
                row.final_pass,
            )
        })
        .collect();
    assert_eq!(counted, [("1", 3, 1, 3, 1), ("2", 1, 1, 3, 2)]);
    let only = Filter {
        run: Some(RunId(2)),
        ..Filter::default()
    };
    assert_eq!(yields(&reader, GroupBy::Run, &only).unwrap(), rows[1..]);
}

#[tokio::test]
async fn every_way_to_group_counts_every_attempt_once() {
    let place = Place::new();
    two_runs(&place).await;
    let reader = place.reader();
    for by in GroupBy::ALL {
        let rows = yields(&reader, by, &Filter::default()).unwrap();
        assert_eq!(
            rows.iter().map(|row| row.attempts).sum::<u64>(),
            7,
            "{by:?}"
        );
        assert_eq!(by.word().parse::<GroupBy>().unwrap(), by);
    }
}

#[tokio::test]
async fn every_filter_lets_through_what_it_says() {
    let place = Place::new();
    two_runs(&place).await;
    let reader = place.reader();
    let count = |filter: Filter| attempts(&reader, &filter).unwrap().rows.len();
    let base = Filter::default;
    assert_eq!(count(base()), 8);
    assert_eq!(
        count(Filter {
            lot: Some("L1".into()),
            ..base()
        }),
        8
    );
    assert_eq!(
        count(Filter {
            lot: Some("L2".into()),
            ..base()
        }),
        0
    );
    assert_eq!(
        count(Filter {
            product: Some("sensor".into()),
            ..base()
        }),
        8
    );
    assert_eq!(
        count(Filter {
            bay: Some("bay2".into()),
            ..base()
        }),
        2
    );
    assert_eq!(
        count(Filter {
            mac: Some("7C-DF-A1-00-00-02".into()),
            ..base()
        }),
        2
    );
    assert_eq!(
        count(Filter {
            since: Some(noon()),
            ..base()
        }),
        8
    );
    assert_eq!(
        count(Filter {
            until: Some(noon()),
            ..base()
        }),
        0
    );
    let later = Some(noon() + TimeDelta::milliseconds(8));
    let (after, before) = (
        Filter {
            since: later,
            ..base()
        },
        Filter {
            until: later,
            ..base()
        },
    );
    assert_eq!(count(after) + count(before), 8);
}

#[tokio::test]
async fn every_list_has_its_rows() {
    let place = Place::new();
    two_runs(&place).await;
    let reader = place.reader();
    let base = Filter::default;
    assert_eq!(runs(&reader, &base()).unwrap().rows.len(), 2);
    assert_eq!(units(&reader, &base()).unwrap().rows.len(), 4);
    let of_bay_two = Filter {
        bay: Some("bay2".into()),
        ..base()
    };
    assert_eq!(units(&reader, &of_bay_two).unwrap().rows.len(), 2);
    assert_eq!(steps(&reader, &base()).unwrap().rows.len(), 7);
    assert_eq!(measurements(&reader, &base()).unwrap().rows.len(), 0);
}

#[tokio::test]
async fn a_limit_keeps_the_latest_and_says_that_there_was_more() {
    let place = Place::new();
    two_runs(&place).await;
    let reader = place.reader();
    let latest = attempts(
        &reader,
        &Filter {
            limit: Some(3),
            ..Filter::default()
        },
    )
    .unwrap();
    let numbers: Vec<_> = latest.rows.iter().map(|row| row.attempt).collect();
    assert_eq!((numbers, latest.more), (vec![6, 7, 8], true));
    let all = attempts(
        &reader,
        &Filter {
            limit: Some(8),
            ..Filter::default()
        },
    )
    .unwrap();
    assert_eq!((all.rows.len(), all.more), (8, false));
}

#[tokio::test]
async fn an_open_run_is_counted_as_far_as_it_got() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 2).await;
    story.unit(1, &mac(1), Outcome::Pass).await;
    story.contact(2, &mac(2)).await;
    let rows = runs(&place.reader(), &Filter::default()).unwrap().rows;
    assert_eq!(
        (rows[0].pass, rows[0].fail, rows[0].finished_at),
        (1, 0, None)
    );
}

#[tokio::test]
async fn the_pareto_shares_add_up_and_leave_out_what_was_stopped() {
    let place = Place::new();
    two_runs(&place).await;
    let rows = failure_pareto(&place.reader(), &Filter::default()).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].count, rows[0].units, rows[0].share), (4, 2, 1.0));
    assert_eq!(rows[0].failed_step.as_deref(), Some("flash"));

    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let attempt = story.contact(1, &mac(5)).await;
    let mut end = finished(attempt, 1, Some(&mac(5)), None, Outcome::Fail);
    if let crate::event::EventKind::AttemptFinished {
        failure: Some(failure),
        ..
    } = &mut end
    {
        failure.code = "limit-exceeded".into();
    }
    story.tell(end).await.unwrap();
    let rows = failure_pareto(&place.reader(), &Filter::default()).unwrap();
    let shares: Vec<_> = rows
        .iter()
        .map(|row| (row.count, row.share, row.cumulative))
        .collect();
    assert_eq!(shares, [(4, 0.8, 0.8), (1, 0.2, 1.0)]);
    assert_eq!(rows[1].code, "limit-exceeded");
}

#[tokio::test]
async fn a_trace_tells_everything_by_mac_or_by_serial() {
    let place = Place::new();
    let journal = place.journal();
    let mut story = Story::begin(&journal, 1).await;
    let source = pool("sensor", "SN{counter:06}");
    for (value, of_step, outcome) in [
        (9999.0, StepOutcome::Fail, Outcome::Fail),
        (3300.0, StepOutcome::Pass, Outcome::Pass),
    ] {
        let attempt = story.contact(1, &mac(1)).await;
        let serial = story.serial(attempt, &mac(1), &source).await.unwrap();
        story.tell(step_started(attempt, "test", 1)).await.unwrap();
        story
            .tell(measured(attempt, "test", 1, value))
            .await
            .unwrap();
        story
            .tell(step_finished(attempt, "test", 1, of_step))
            .await
            .unwrap();
        story
            .finish(attempt, 1, Some(&mac(1)), Some(&serial), outcome)
            .await;
    }
    let reader = place.reader();
    let trace = unit_trace(&reader, "7C:DF:A1:00:00:01").unwrap().unwrap();
    assert_eq!(trace.unit.serial.as_deref(), Some("SN000001"));
    assert_eq!(
        (trace.unit.attempts, trace.unit.last_outcome.as_deref()),
        (2, Some("pass"))
    );
    assert_eq!(
        (trace.serials.len(), trace.attempts.len(), trace.more),
        (1, 2, false)
    );
    let verdicts: Vec<_> = trace
        .attempts
        .iter()
        .map(|attempt| {
            (
                attempt.steps.len(),
                attempt.measurements[0].verdict.as_str(),
            )
        })
        .collect();
    assert_eq!(verdicts, [(1, "fail"), (1, "pass")]);
    assert_eq!(unit_trace(&reader, "SN000001").unwrap(), Some(trace));
    assert_eq!(unit_trace(&reader, "SN000002").unwrap(), None);
    assert_eq!(
        serials(&reader, &Filter::default()).unwrap().rows[0].state,
        "committed"
    );
}
