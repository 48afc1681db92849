//! Structured logs: one JSON object a line on stdout, which AWS Lambda takes to CloudWatch.

use device_pki::visible::{self, Records};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable that sets the level.
pub(crate) const LOG_LEVEL: &str = "LOG_LEVEL";

/// Starts logging. `RUST_LOG` (a level, or levels by target) overrides `LOG_LEVEL`, which overrides
/// `AWS_LAMBDA_LOG_LEVEL`, which AWS Lambda sets from the function's logging configuration; without any it is `info`.
pub(super) fn init(variables: impl Fn(&str) -> Option<String>) {
    let (targets, unusable) = targets(variables);
    tracing_subscriber::registry().with(targets).with(lines(std::io::stdout)).init();
    if let Some(name) = unusable {
        tracing::warn!(
            variable = name,
            "the log level is not one of trace, debug, info, warn, error; it is info"
        );
    }
}

/// The form of the lines: fields at the top, so that CloudWatch Logs Insights finds them by name.
pub(super) fn lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_writer(Visible(writer))
}

/// Writers whose lines have nothing in them that a terminal acts on: what devices and other users name is in the log.
struct Visible<M>(M);

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Visible<M> {
    type Writer = Records<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Records::new(self.0.make_writer(), visible::json)
    }
}

/// What is logged, and the variable that could not be read.
fn targets(variables: impl Fn(&str) -> Option<String>) -> (Targets, Option<&'static str>) {
    let info = || Targets::new().with_default(LevelFilter::INFO);
    let set = |name| variables(name).filter(|value| !value.is_empty());
    if let Some(value) = set("RUST_LOG") {
        return match value.parse() {
            Ok(targets) => (targets, None),
            Err(_) => (info(), Some("RUST_LOG")),
        };
    }
    let level = [LOG_LEVEL, "AWS_LAMBDA_LOG_LEVEL"].into_iter().find_map(|name| Some((name, set(name)?)));
    match level {
        None => (info(), None),
        Some((_, level)) if level.eq_ignore_ascii_case("fatal") => {
            (Targets::new().with_default(LevelFilter::ERROR), None)
        }
        Some((name, level)) => match level.parse::<LevelFilter>() {
            Ok(level) => (Targets::new().with_default(level), None),
            Err(_) => (info(), Some(name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(pairs: &[(&str, &str)]) -> (Option<LevelFilter>, Option<&'static str>) {
        let find =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let (targets, unusable) = targets(find);
        (targets.default_level(), unusable)
    }

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_of_the_function_has_nothing_that_a_terminal_acts_on() {
        let (kept, hostile) = (Kept::default(), "a\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{2028}\r\nb");
        let writer = kept.clone();
        let subscriber = tracing_subscriber::registry().with(lines(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || tracing::error!(thing = hostile, "{hostile}"));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(device_pki::visible::is_hidden), "{line:?}");
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&value["thing"], &value["message"]), (&hostile.into(), &hostile.into()));
    }

    #[test]
    fn rust_log_goes_before_log_level_before_lambdas_level_before_info() {
        assert_eq!(level(&[]), (Some(LevelFilter::INFO), None));
        assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "WARN")]), (Some(LevelFilter::WARN), None));
        assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), (Some(LevelFilter::ERROR), None));
        let own = [("AWS_LAMBDA_LOG_LEVEL", "WARN"), ("LOG_LEVEL", "trace")];
        assert_eq!(level(&own), (Some(LevelFilter::TRACE), None));
        let both = [("AWS_LAMBDA_LOG_LEVEL", "WARN"), ("RUST_LOG", "debug,hyper=warn")];
        assert_eq!(level(&both), (Some(LevelFilter::DEBUG), None));
    }

    #[test]
    fn a_level_that_cannot_be_read_is_told_and_does_not_stop_the_function() {
        assert_eq!(
            level(&[("AWS_LAMBDA_LOG_LEVEL", "LOUD")]),
            (Some(LevelFilter::INFO), Some("AWS_LAMBDA_LOG_LEVEL"))
        );
        assert_eq!(level(&[("LOG_LEVEL", "LOUD")]), (Some(LevelFilter::INFO), Some("LOG_LEVEL")));
        assert_eq!(level(&[("RUST_LOG", "jitr=loud")]), (Some(LevelFilter::INFO), Some("RUST_LOG")));
    }
}
