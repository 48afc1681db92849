//! Patterns of policy documents: `*`, `?` and `${variable}`.

use std::fmt;

use super::{Context, Value};

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `${` without `}`.
    #[error("a policy variable is not closed with `}}`")]
    UnclosedVariable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyRun,
    AnyCharacter,
    Variable(String),
}

/// A pattern. Everything but `*`, `?` and variables stands for itself, the MQTT wildcards `+` and `#` included; so does
/// everything in the value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

impl Pattern {
    /// Parses a pattern; `${*}`, `${?}` and `${$}` stand for the characters themselves.
    ///
    /// # Errors
    /// [`PatternError::UnclosedVariable`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let Some(variable) = rest.strip_prefix("${") {
                let (name, after) = variable.split_once('}').ok_or(PatternError::UnclosedVariable)?;
                tokens.push(match name {
                    "*" | "?" | "$" => Token::Literal(name.chars().next().unwrap_or_default()),
                    _ => Token::Variable(name.to_owned()),
                });
                rest = after;
            } else {
                tokens.push(match character {
                    '*' => Token::AnyRun,
                    '?' => Token::AnyCharacter,
                    literal => Token::Literal(literal),
                });
                rest = &rest[character.len_utf8()..];
            }
        }
        Ok(Self(tokens))
    }

    /// Whether the pattern covers all of `text`. A pattern with a variable that has no value for this connection covers
    /// nothing; `None` when it has a variable the testbed does not know.
    #[must_use]
    pub fn matches(&self, text: &str, context: &Context<'_>) -> Option<bool> {
        Some(self.resolve(context)?.is_some_and(|tokens| covers(&tokens, text)))
    }

    /// Whether the pattern equals `text` by `equality`, its `*` and `?` taken as themselves; `None` as in
    /// [`Pattern::matches`].
    #[must_use]
    pub fn equals(
        &self,
        text: &str,
        context: &Context<'_>,
        equality: fn(&str, &str) -> bool,
    ) -> Option<bool> {
        Some(self.text(context)?.is_some_and(|own| equality(&own, text)))
    }

    /// The pattern with its variables replaced, its `*` and `?` taken as themselves: `Some(None)` when a variable has no value,
    /// `None` when one is unknown.
    pub(super) fn text(&self, context: &Context<'_>) -> Option<Option<String>> {
        let character = |token: &Token| match token {
            Token::AnyRun => '*',
            Token::AnyCharacter | Token::Variable(_) => '?',
            Token::Literal(character) => *character,
        };
        Some(self.resolve(context)?.map(|tokens| tokens.iter().map(character).collect()))
    }

    /// The variables in it.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|token| match token {
            Token::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The pattern with its variables replaced: `Some(None)` when one has no value, `None` when one is unknown.
    fn resolve(&self, context: &Context<'_>) -> Option<Option<Vec<Token>>> {
        let mut resolved = Some(Vec::with_capacity(self.0.len()));
        for token in &self.0 {
            match token {
                Token::Variable(name) => match context.value(name) {
                    Value::Known(values) => {
                        // A variable with several values stands for the first of them.
                        let first = values.first().map(String::as_str).unwrap_or_default();
                        resolved
                            .iter_mut()
                            .for_each(|tokens| tokens.extend(first.chars().map(Token::Literal)));
                    }
                    Value::Absent => resolved = None,
                    Value::Unsupported => return None,
                },
                other => resolved.iter_mut().for_each(|tokens| tokens.push(other.clone())),
            }
        }
        Some(resolved)
    }
}

/// As it stands in a document.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| match token {
            Token::Literal(c @ ('*' | '?')) => write!(f, "${{{c}}}"),
            Token::Literal(character) => write!(f, "{character}"),
            Token::AnyRun => f.write_str("*"),
            Token::AnyCharacter => f.write_str("?"),
            Token::Variable(name) => write!(f, "${{{name}}}"),
        })
    }
}

/// Greedy matching that returns to the last `*` only: time is at most the product of both lengths.
fn covers(tokens: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut token, mut position) = (0, 0);
    let mut last_run = None;
    while position < text.len() {
        let matched = match tokens.get(token) {
            Some(Token::AnyRun) => {
                last_run = Some((token, position));
                token += 1;
                continue;
            }
            Some(Token::AnyCharacter) => true,
            Some(Token::Literal(character)) => *character == text[position],
            Some(Token::Variable(_)) | None => false,
        };
        match (matched, last_run) {
            (true, _) => (token, position) = (token + 1, position + 1),
            (false, Some((run, start))) => {
                last_run = Some((run, start + 1));
                (token, position) = (run + 1, start + 1);
            }
            (false, None) => return false,
        }
    }
    tokens[token..].iter().all(|token| *token == Token::AnyRun)
}
