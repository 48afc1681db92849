//! The timeline: what each step of the demo did, for people or as JSON lines.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Who does something in the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The computer the board is plugged into.
    Laptop,
    /// The board.
    Board,
    /// AWS, or what stands in for it.
    Cloud,
    /// A device that AWS IoT must refuse.
    Stranger,
}

impl Actor {
    fn name(self) -> &'static str {
        match self {
            Self::Laptop => "laptop",
            Self::Board => "board",
            Self::Cloud => "cloud",
            Self::Stranger => "stranger",
        }
    }
}

/// What a step is, before it is known how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Heading {
    /// For programs.
    #[serde(rename = "step")]
    pub name: &'static str,
    /// Who acts.
    pub actor: Actor,
    /// What the actor does, for people.
    pub title: &'static str,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It really happened.
    Done {
        /// What was seen.
        seen: String,
    },
    /// It did not.
    Failed {
        /// What should have been seen.
        expected: &'static str,
        /// What was seen.
        seen: String,
    },
}

#[derive(Serialize)]
struct StepLine<'a> {
    #[serde(flatten)]
    heading: Heading,
    #[serde(flatten)]
    outcome: &'a Outcome,
    seconds: f64,
}

#[derive(Serialize)]
struct EndLine {
    demo: &'static str,
    steps: usize,
    of: usize,
    seconds: f64,
}

const TITLE_WIDTH: usize = 38;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Writes the timeline as it happens.
#[derive(Debug)]
pub struct Timeline<W> {
    out: W,
    output: Output,
    /// Whether a line may be written over: the step that is under way is shown until its outcome is.
    live: bool,
    steps: usize,
    last_actor: Option<Actor>,
}

impl Timeline<anstream::AutoStream<io::Stdout>> {
    /// A timeline on stdout, with colours if that is a terminal.
    #[must_use]
    pub fn stdout(output: Output) -> Self {
        let live = output == Output::Human && io::stdout().is_terminal();
        Self { out: anstream::stdout(), output, live, steps: 0, last_actor: None }
    }
}

impl<W: Write> Timeline<W> {
    /// A timeline that only ever appends.
    pub fn new(out: W, output: Output) -> Self {
        Self { out, output, live: false, steps: 0, last_actor: None }
    }

    /// The first lines.
    ///
    /// # Errors
    /// Those of the output, as for all methods.
    pub fn begin(&mut self, title: &str, setting: &str) -> io::Result<()> {
        match self.output {
            Output::Human => {
                writeln!(self.out, "\n  {STRONG}{title}{STRONG:#}\n  {QUIET}{setting}{QUIET:#}\n")
            }
            Output::Json => Ok(()),
        }
    }

    /// A step begins.
    ///
    /// # Errors
    /// Those of the output.
    pub fn start(&mut self, heading: Heading) -> io::Result<()> {
        if self.live {
            let actor = self.actor(heading);
            write!(self.out, "  {actor:<9} {QUIET}·          {} …{QUIET:#}", heading.title)?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// A step has ended.
    ///
    /// # Errors
    /// Those of the output.
    pub fn step(&mut self, heading: Heading, outcome: &Outcome, took: Duration) -> io::Result<()> {
        if matches!(outcome, Outcome::Done { .. }) {
            self.steps += 1;
        }
        let seconds = rounded(took);
        if self.output == Output::Json {
            return json_line(&mut self.out, &StepLine { heading, outcome, seconds });
        }
        if self.live {
            write!(self.out, "\r\x1b[2K")?;
        }
        let actor = self.actor(heading);
        self.last_actor = Some(heading.actor);
        let title = heading.title;
        match outcome {
            Outcome::Done { seen } => writeln!(
                self.out,
                "  {actor:<9} {GOOD}✓{GOOD:#} {QUIET}{seconds:>6.2} s{QUIET:#}  {title:<TITLE_WIDTH$}  {seen}"
            ),
            Outcome::Failed { expected, seen } => {
                let seen = seen.trim().replace('\n', "\n                       ");
                writeln!(
                    self.out,
                    "  {actor:<9} {BAD}✗{BAD:#} {QUIET}{seconds:>6.2} s{QUIET:#}  {title}\n\
                     \x20            expected  {expected}\n\
                     \x20            seen      {seen}"
                )
            }
        }
    }

    /// The last line; `of` is the number of steps there are. Returns whether all of them happened.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(&mut self, of: usize, took: Duration) -> io::Result<bool> {
        let (steps, seconds) = (self.steps, rounded(took));
        let complete = steps == of;
        if self.output == Output::Json {
            let demo = if complete { "done" } else { "failed" };
            json_line(&mut self.out, &EndLine { demo, steps, of, seconds })?;
        } else if complete {
            writeln!(self.out, "\n  {GOOD}All {of} steps happened{GOOD:#}, in {seconds:.2} s.\n")?;
        } else {
            writeln!(self.out, "\n  {BAD}{steps} of {of} steps happened{BAD:#}, in {seconds:.2} s.\n")?;
        }
        Ok(complete)
    }

    /// The actor's name where it changes.
    fn actor(&self, heading: Heading) -> &'static str {
        if self.last_actor == Some(heading.actor) { "" } else { heading.actor.name() }
    }
}

fn json_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    writeln!(out)
}

/// Seconds to the hundredth.
fn rounded(took: Duration) -> f64 {
    (took.as_secs_f64() * 100.0).round() / 100.0
}

/// The beginning of an identifier, long enough to recognise it.
#[must_use]
pub fn shortened(identifier: &str) -> String {
    const SHOWN: usize = 8;
    match identifier.char_indices().nth(SHOWN) {
        Some((end, _)) if identifier.chars().count() > SHOWN + 1 => format!("{}…", &identifier[..end]),
        _ => identifier.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: Heading =
        Heading { name: "ca", actor: Actor::Laptop, title: "makes its certificate authority" };
    const PROVISION: Heading =
        Heading { name: "provision", actor: Actor::Laptop, title: "provisions the board" };
    const CONNECT: Heading =
        Heading { name: "connect", actor: Actor::Board, title: "connects with its own key" };

    fn story(output: Output) -> String {
        let mut timeline = Timeline::new(anstream::StripStream::new(Vec::new()), output);
        let done = |seen: &str| Outcome::Done { seen: seen.to_owned() };
        timeline.begin("A board meets an account.", "On this computer.").unwrap();
        timeline.step(CA, &done("root and signer"), Duration::from_millis(48)).unwrap();
        timeline.step(PROVISION, &done("thing 4f2a91c0…"), Duration::from_millis(951)).unwrap();
        let failed = Outcome::Failed {
            expected: "to be disconnected",
            seen: "connected\nby the gateway\n".to_owned(),
        };
        timeline.step(CONNECT, &failed, Duration::from_secs(10)).unwrap();
        timeline.end(4, Duration::from_millis(10_999)).unwrap();
        String::from_utf8(timeline.out.into_inner()).unwrap()
    }

    #[test]
    fn people_read_one_line_a_step() {
        insta::assert_snapshot!(story(Output::Human));
    }

    #[test]
    fn programs_read_one_object_a_line() {
        insta::assert_snapshot!(story(Output::Json));
    }

    #[test]
    fn identifiers_are_shortened_only_if_that_saves_something() {
        assert_eq!(shortened("0123456789abcdef"), "01234567…");
        assert_eq!(shortened("012345678"), "012345678");
        assert_eq!(shortened("żółć_żółć_żółć"), "żółć_żół…");
    }
}
