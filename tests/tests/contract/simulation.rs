//! Large organizations in virtual time: the real functions at the published rates of AWS and the template's settings.
//!
//! `cargo test --workspace --test contract -- simulation:: --nocapture` prints what each of them came to.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::time::Duration;

use orgkeeper_shared::gateway::rates::RATES;
use orgkeeper_tests::{
    local_cloud::soak,
    simulation::{Outcome, Simulation, Size},
};
use serde_json::json;

/// Findings in a page.
const PAGE: usize = 100;

fn print(what: &str, outcome: &Outcome) {
    println!("{what}: finished after {:?}", outcome.finished);
    println!(
        "  {} dead letters, no message received more than {} times",
        outcome.dead.len(),
        outcome.most_receives
    );
    for (operation, (calls, throttled)) in &outcome.calls {
        println!("  {operation:34}{calls:>8} calls, {throttled} of them throttled");
    }
}

fn nothing_lost(outcome: &Outcome) {
    assert!(outcome.finished.is_some());
    assert_eq!(outcome.dead, []);
    assert!(outcome.most_receives <= 3, "{}", outcome.most_receives);
}

/// All findings arrive at once and in no order: reading them a hundred at a time is what the quota allows.
async fn backlog(size: Size) {
    let simulation = Simulation::new(size).with_directory().with_events();
    let outcome = simulation.run(Duration::from_hours(12)).await;
    let reads = RATES
        .iter()
        .find(|rate| rate.bucket == "GetFindings")
        .unwrap();
    let of_refresher = reads
        .shares
        .iter()
        .find(|(function, _)| *function == "directory-refresher")
        .unwrap();
    let pages = f64::from(u32::try_from(size.findings.div_ceil(PAGE)).unwrap());
    let published = pages / f64::from(reads.quota.per_second);
    let share = published * 100.0 / f64::from(of_refresher.1);
    print(&format!("{size:?}, all at once"), &outcome);
    println!(
        "  {pages} pages of GetFindings take {published:.0} s at the published rate and {share:.0} s at our share"
    );
    nothing_lost(&outcome);
    let finished = outcome.finished.unwrap().as_secs_f64();
    println!(
        "  {:.2} times the floor of our share, {:.2} times that of the published rate",
        finished / share,
        finished / published
    );
    // A finding can be found a minute after its event.
    assert!(finished <= 1.2 * share + 120.0, "{finished}");
}

/// A fifth of the findings of three thousand accounts; with `ORGKEEPER_SOAK` (`make soak`) all of them, and a million
/// findings of ten thousand accounts.
#[tokio::test(start_paused = true)]
async fn a_backlog_is_enriched_at_the_pace_of_the_quotas() {
    let size = |accounts, findings| Size {
        accounts,
        units: accounts / 10,
        findings,
    };
    if soak() {
        backlog(size(3_000, 200_000)).await;
        backlog(size(10_000, 1_000_000)).await;
    } else {
        backlog(size(600, 40_000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_findings_of_a_thousand_accounts() {
    let simulation = Simulation::new(Size {
        accounts: 1_000,
        units: 40,
        findings: 1_000,
    })
    .with_directory()
    .with_events();
    let outcome = simulation.run(Duration::from_hours(1)).await;
    print("1,000 findings of 1,000 accounts", &outcome);
    nothing_lost(&outcome);
}

#[tokio::test(start_paused = true)]
async fn an_empty_directory_fills_while_findings_wait() {
    let simulation = Simulation::new(Size {
        accounts: 200,
        units: 160,
        findings: 1_000,
    })
    .with_events();
    let outcome = simulation.run(Duration::from_hours(2)).await;
    print(
        "1,000 findings of 200 unknown accounts in 160 units",
        &outcome,
    );
    nothing_lost(&outcome);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_many_units_reads_them_all() {
    let size = Size {
        accounts: 1_000,
        units: 800,
        findings: 1_000,
    };
    let simulation =
        Simulation::new(size).with_task(&json!({ "task": "refresh-all", "everyFinding": true }));
    let outcome = std::sync::Arc::clone(&simulation)
        .run(Duration::from_hours(6))
        .await;
    print("a refresh of 1,000 accounts in 800 units", &outcome);
    nothing_lost(&outcome);
    for n in 0..size.accounts {
        assert!(simulation.stored(n).is_some(), "account {n}");
    }
}
