//! Patterns of policy documents: `*`, `?` and `${variable}`.

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
        let character = |token: &Token| match token {
            Token::AnyRun => '*',
            Token::AnyCharacter | Token::Variable(_) => '?',
            Token::Literal(character) => *character,
        };
        let resolved = self.resolve(context)?;
        Some(resolved.is_some_and(|tokens| equality(&tokens.iter().map(character).collect::<String>(), text)))
    }

    /// The pattern with its variables replaced: `Some(None)` when one has no value, `None` when one is unknown.
    fn resolve(&self, context: &Context<'_>) -> Option<Option<Vec<Token>>> {
        let mut resolved = Some(Vec::with_capacity(self.0.len()));
        for token in &self.0 {
            match token {
                Token::Variable(name) => match context.value(name) {
                    Value::Known(value) => {
                        resolved
                            .iter_mut()
                            .for_each(|tokens| tokens.extend(value.chars().map(Token::Literal)));
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
