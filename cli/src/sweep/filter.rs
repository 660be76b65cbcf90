//! The `JMESPath` expression that makes rows of an answer.

use std::fmt;

use jmespath::{ErrorReason, Expression, JmespathError, RuntimeError};
use serde_json::Value;

/// A filter that was read.
pub struct Filter(Expression<'static>);

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expression = jmespath::compile(text).map_err(|error| in_words(&error))?;
        // A function that does not exist shows only when it is called.
        match expression.search(Value::Null) {
            Err(error) if is_unknown_function(&error) => Err(in_words(&error)),
            Ok(_) | Err(_) => Ok(Self(expression)),
        }
    }

    /// The rows of an answer: the elements of a list, or one; none of nothing.
    ///
    /// # Errors
    /// If the expression does not fit the answer.
    pub fn rows(&self, answer: &Value) -> Result<Vec<Value>, String> {
        let found = self.0.search(answer).map_err(|error| in_words(&error))?;
        let found = serde_json::to_value(&*found).map_err(|error| error.to_string())?;
        Ok(match found {
            Value::Null => Vec::new(),
            Value::Array(rows) => rows,
            row => vec![row],
        })
    }
}

fn is_unknown_function(error: &JmespathError) -> bool {
    matches!(
        error.reason,
        ErrorReason::Runtime(RuntimeError::UnknownFunction(_))
    )
}

/// What is wrong, on one line.
fn in_words(error: &JmespathError) -> String {
    format!("{} (column {})", error.reason, error.column + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_what_the_expression_finds() {
        let answer = json!({ "a": [{ "b": [{ "id": 1, "x": 2 }] }, { "b": [{ "id": 3 }] }] });
        for (filter, rows) in [
            ("a[].b[].id", vec![json!(1), json!(3)]),
            ("a[].b[?x].{id: id}[]", vec![json!({ "id": 1 })]),
            ("length(a)", vec![json!(2)]),
            ("c", vec![]),
        ] {
            assert_eq!(
                Filter::parse(filter).unwrap().rows(&answer).unwrap(),
                rows,
                "{filter}"
            );
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for (filter, words) in [
            ("a[", "(column "),
            ("a.{", "(column "),
            ("sizes(a)", "sizes"),
        ] {
            let refused = Filter::parse(filter).unwrap_err();
            assert!(
                refused.contains(words) && !refused.contains('\n'),
                "{refused}"
            );
        }
        let filter = Filter::parse("length(a)").unwrap();
        assert!(filter.rows(&json!({ "a": 1 })).is_err());
    }
}
