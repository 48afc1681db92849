//! The goals of the simulation, on fleets small enough for every test run.

use super::*;

fn simulated(shape: Shape, devices: usize, seed: u64) -> Report {
    let report = run(&Options { devices, seed, ..Options::new(shape) }).unwrap();
    assert_eq!((report.lost(), report.unfinished), (0, 0), "{report}");
    report
}

#[test]
fn with_the_queue_no_device_is_lost_and_the_quota_is_used_up() {
    const SEEDS: u64 = 8;
    for (devices, wasted) in [(1000, 0.4), (3000, 0.2)] {
        let mut of_quota = 0.0;
        for seed in 1..=SEEDS {
            let report = simulated(Shape::Queue, devices, seed);
            assert_eq!(report.function.given_up, 0, "{report}");
            assert!(report.of_quota(1.0) >= 0.9, "{report}");
            assert!((report.wasted() as f64) < wasted * devices as f64, "{report}");
            of_quota += report.of_quota(1.0) / SEEDS as f64;
        }
        assert!(of_quota >= 0.95, "{devices} devices: {of_quota}");
    }
}

#[test]
fn raised_quotas_are_found_and_used() {
    let options = Options { devices: 10_000, quota: 100.0, ..Options::new(Shape::Queue) };
    let report = run(&options).unwrap();
    assert_eq!((report.lost(), report.unfinished), (0, 0), "{report}");
    assert!(report.of_quota(1.0) >= 0.6, "{report}");
    assert!((report.wasted() as f64) < 0.4 * report.devices as f64, "{report}");
}

/// The window of a batch, the start of an environment and the calls of a registration, on the simulation's clock.
#[test]
fn a_single_board_is_registered_within_three_seconds_of_its_event() {
    for seed in 0..20 {
        let options = Options {
            devices: 1,
            seed,
            switched_on_within: Duration::ZERO,
            delayed: 0.0,
            crashing: 0.0,
            faulty: 0.0,
            ..Options::new(Shape::Queue)
        };
        let report = run(&options).unwrap();
        assert_eq!(report.lost(), 0, "{report}");
        assert!(report.registered(1.0).unwrap() <= Duration::from_secs(3), "{report}");
    }
}

#[test]
fn without_a_queue_no_device_is_lost() {
    simulated(Shape::Rule, 500, 1);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let again = [simulated(Shape::Queue, 200, 7), simulated(Shape::Queue, 200, 7)];
    assert_eq!(again[0], again[1]);
    assert_ne!(again[0].activations, simulated(Shape::Queue, 200, 8).activations);
}

#[test]
fn the_plot_shows_every_shape_against_the_quota() {
    let reports = [simulated(Shape::Queue, 200, 1), simulated(Shape::Rule, 200, 1)];
    let plot = svg(&reports);
    assert_eq!(plot.matches("<polyline").count(), 3);
    for text in ["the quota", "rule → queue → Lambda, 200 devices, 10 a second", "rule → Lambda", "0 lost"]
    {
        assert!(plot.contains(text), "{text}");
    }
}

#[test]
fn the_queue_is_simulated_as_the_template_sets_it() {
    let template = include_str!("../../../infra/template.yaml");
    let QueueSettings { concurrency, batch_size, window, visibility_timeout, receives } =
        QueueSettings::default();
    let set = [
        format!("      BatchSize: {batch_size}\n"),
        format!("      MaximumBatchingWindowInSeconds: {}\n", window.as_secs()),
        format!("      VisibilityTimeout: {}\n", visibility_timeout.as_secs()),
        format!("        maxReceiveCount: {receives}\n"),
        format!("      Timeout: {}\n", function::TIMEOUT.as_secs()),
        format!("  MaximumConcurrency:\n    Type: Number\n    Default: {concurrency}\n"),
    ];
    for line in set {
        assert!(template.contains(&line), "{line}");
    }
}

#[test]
fn what_an_environment_knows_outlives_a_crash() {
    let options = |crashing| Options { devices: 1000, seed: 1, crashing, ..Options::new(Shape::Queue) };
    let report = run(&options(0.1)).unwrap();
    assert!(report.function.crashes >= 3, "{report}");
    assert_eq!((report.lost(), report.unfinished), (0, 0), "{report}");
    assert!((report.wasted() as f64) < 0.5 * report.devices as f64, "{report}");
}
