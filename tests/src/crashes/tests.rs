//! What the crash test has to show.

use std::collections::BTreeSet;

use super::table::Table;
use super::*;

#[test]
fn after_a_crash_at_any_call_the_next_delivery_ends_as_if_there_had_been_none() {
    let crashes = run().unwrap();
    for crash in &crashes {
        assert_eq!((&crash.alone, &crash.twice), (&End::AsWithout, &End::AsWithout), "{crash:?}");
        let attached = crash.left.thing && crash.left.policy;
        assert!(crash.left.status == CertificateStatus::PendingActivation || attached, "{crash:?}");
    }
    let crashed_at: BTreeSet<_> = crashes.iter().map(|crash| crash.operation).collect();
    // One is called in a rush alone, one after an exclusive attachment that was refused; both change nothing.
    let others = [Operation::ListAttachedPolicies, Operation::ListPrincipalThings];
    let expected = Operation::ALL.into_iter().filter(|operation| !others.contains(operation));
    assert_eq!(crashed_at, expected.collect());
}

#[test]
fn the_table_has_every_position_before_and_after_with_its_end_state() {
    insta::assert_snapshot!(Table(&run().unwrap()));
}
