//! The grammar of DynamoDB's expressions (Developer Guide, *Using expressions in DynamoDB*).
//!
//! A token, word or placeholder that the grammar does not have is a panic.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::Value;

use super::{mutation, value};

/// Words that DynamoDB does not take as attribute names (Developer Guide, *Reserved words*).
const RESERVED: &str = include_str!("reserved.txt");

/// A place in an item: an attribute, and what is below it.
pub(super) type Path = Vec<Step>;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An attribute of an item or map.
    Name(String),
    /// An element of a list.
    Place(usize),
}

/// What a condition compares.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// What the item has at this path.
    Path(Path),
    /// The value of a placeholder.
    Value(Value),
    /// `size(path)`.
    Size(Path),
}

/// A condition, filter or key condition.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// `AND`
    All(Vec<Condition>),
    /// `OR`
    Any(Vec<Condition>),
    /// `NOT`
    Not(Box<Condition>),
    /// `=`, `<>`, `<`, `<=`, `>`, `>=`
    Compare(Operand, String, Operand),
    /// `BETWEEN`
    Between(Operand, Operand, Operand),
    /// `IN`
    In(Operand, Vec<Operand>),
    /// `attribute_exists`
    Exists(Path),
    /// `attribute_type`
    Type(Path, Operand),
    /// `begins_with`
    BeginsWith(Operand, Operand),
    /// `contains`
    Contains(Operand, Operand),
}

/// What `SET` stores.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// A value, or what the item has at a path.
    Operand(Operand),
    /// `if_not_exists`
    IfNotExists(Path, Box<Stored>),
    /// `list_append`
    ListAppend(Box<Stored>, Box<Stored>),
    /// `+`, or `-` if true.
    Sum(Box<Stored>, Box<Stored>, bool),
}

/// One change of an update.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// `SET`
    Set(Path, Stored),
    /// `REMOVE`
    Remove(Path),
    /// `ADD`
    Add(Path, Value),
    /// `DELETE`
    Delete(Path, Value),
}

/// The types of values that have an order.
const ORDERED: [&str; 3] = ["S", "N", "B"];

impl Operand {
    /// Panics if it is known to be of another type, whatever the item is.
    fn is_one_of(&self, kinds: &[&str]) {
        match self {
            Self::Value(value) => is_one_of(value, kinds),
            Self::Size(_) => assert!(kinds.contains(&"N"), "size() is not one of {kinds:?}"),
            Self::Path(_) => {}
        }
    }
}

impl Stored {
    /// Panics if it is known to be of another type, whatever the item is.
    fn is(&self, kind: &str) {
        match self {
            Self::Operand(operand) => operand.is_one_of(&[kind]),
            Self::IfNotExists(_, other) => other.is(kind),
            Self::ListAppend(..) => assert!(kind == "L", "a list is no {kind}"),
            Self::Sum(..) => assert!(kind == "N", "a sum is no {kind}"),
        }
    }
}

fn is_one_of(value: &Value, kinds: &[&str]) {
    let (kind, _) = value::parts(value);
    assert!(kinds.contains(&kind), "{value} is not one of {kinds:?}");
}

/// The names and values of a request, and which of them its expressions use.
#[derive(Debug)]
pub(super) struct Placeholders<'r> {
    request: &'r Value,
    used: BTreeSet<String>,
}

impl<'r> Placeholders<'r> {
    pub(super) fn of(request: &'r Value) -> Self {
        Self {
            request,
            used: BTreeSet::new(),
        }
    }

    fn take(&mut self, field: &str, placeholder: &str) -> &'r Value {
        let found = self.request[field].get(placeholder);
        let Some(found) = found else {
            panic!("{placeholder} is not in {field}");
        };
        self.used.insert(placeholder.to_owned());
        found
    }

    /// The condition in a field of the request.
    pub(super) fn condition(&mut self, field: &str) -> Option<Condition> {
        let text = self.request[field].as_str()?;
        let text = match field {
            "ConditionExpression" => mutation::applied(self.request, text),
            _ => text.into(),
        };
        let mut parser = Parser::of(&text, self);
        let condition = parser.any();
        parser.end();
        Some(condition)
    }

    /// The changes of the request's `UpdateExpression`.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let Some(text) = self.request["UpdateExpression"].as_str() else {
            return Vec::new();
        };
        let mut parser = Parser::of(text, self);
        let changes = parser.changes();
        parser.end();
        changes
    }

    /// Panics if there are names or values that no expression uses, as DynamoDB refuses them.
    pub(super) fn end(self) {
        for field in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            let Some(all) = self.request[field].as_object() else {
                continue;
            };
            assert!(!all.is_empty(), "{field} must not be empty");
            for placeholder in all.keys() {
                assert!(
                    self.used.contains(placeholder),
                    "{placeholder} in {field} is not used"
                );
            }
        }
    }
}

struct Parser<'p, 'r> {
    text: &'p str,
    /// Backwards, so that the next one is the last.
    tokens: Vec<String>,
    placeholders: &'p mut Placeholders<'r>,
}

impl<'p, 'r> Parser<'p, 'r> {
    fn of(text: &'p str, placeholders: &'p mut Placeholders<'r>) -> Self {
        let mut tokens = tokens(text);
        tokens.reverse();
        Self {
            text,
            tokens,
            placeholders,
        }
    }

    fn peek(&self) -> &str {
        self.tokens.last().map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        let Some(token) = self.tokens.pop() else {
            panic!("the expression ends too early: {}", self.text);
        };
        token
    }

    /// Whether the next token is this one, which is then taken. Keywords are the same in any case.
    fn takes(&mut self, token: &str) -> bool {
        let next = self.peek().eq_ignore_ascii_case(token);
        if next {
            self.tokens.pop();
        }
        next
    }

    fn expect(&mut self, token: &str) {
        let next = self.next();
        let expected = next.eq_ignore_ascii_case(token);
        assert!(expected, "{next} where {token} belongs: {}", self.text);
    }

    fn end(&self) {
        assert!(
            self.tokens.is_empty(),
            "{} is too much: {}",
            self.peek(),
            self.text
        );
    }

    fn any(&mut self) -> Condition {
        let mut terms = vec![self.all()];
        while self.takes("OR") {
            terms.push(self.all());
        }
        only(terms, Condition::Any)
    }

    fn all(&mut self) -> Condition {
        let mut terms = vec![self.term()];
        while self.takes("AND") {
            terms.push(self.term());
        }
        only(terms, Condition::All)
    }

    fn term(&mut self) -> Condition {
        if self.takes("NOT") {
            return Condition::Not(Box::new(self.term()));
        }
        if self.takes("(") {
            let inner = self.any();
            self.expect(")");
            return inner;
        }
        // Functions are lower case only.
        match self.peek() {
            "attribute_exists" => Condition::Exists(self.path_in_brackets()),
            "attribute_not_exists" => {
                Condition::Not(Box::new(Condition::Exists(self.path_in_brackets())))
            }
            "attribute_type" => self.function(|path, kind| match path {
                Operand::Path(path) => Condition::Type(path, kind),
                _ => panic!("attribute_type takes a path"),
            }),
            "begins_with" => self.function(|text, start| {
                text.is_one_of(&["S", "B"]);
                start.is_one_of(&["S", "B"]);
                Condition::BeginsWith(text, start)
            }),
            "contains" => self.function(Condition::Contains),
            _ => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Condition {
        let left = self.operand();
        if self.takes("BETWEEN") {
            let low = self.operand();
            self.expect("AND");
            let high = self.operand();
            for operand in [&left, &low, &high] {
                operand.is_one_of(&ORDERED);
            }
            if let (Operand::Value(low), Operand::Value(high)) = (&low, &high) {
                let good = value::order(low, high).is_some_and(Ordering::is_le);
                assert!(good, "nothing is between {low} and {high}: {}", self.text);
            }
            return Condition::Between(left, low, high);
        }
        if self.takes("IN") {
            self.expect("(");
            let mut all = vec![self.operand()];
            while self.takes(",") {
                all.push(self.operand());
            }
            self.expect(")");
            assert!(all.len() <= 100, "IN takes 100 operands at most");
            return Condition::In(left, all);
        }
        let comparator = self.next();
        let known = ["=", "<>", "<", "<=", ">", ">="].contains(&comparator.as_str());
        assert!(known, "{comparator} is not a comparator: {}", self.text);
        let right = self.operand();
        if comparator != "=" && comparator != "<>" {
            left.is_one_of(&ORDERED);
            right.is_one_of(&ORDERED);
        }
        Condition::Compare(left, comparator, right)
    }

    fn path_in_brackets(&mut self) -> Path {
        self.next();
        self.expect("(");
        let path = self.path();
        self.expect(")");
        path
    }

    fn function(&mut self, condition: impl FnOnce(Operand, Operand) -> Condition) -> Condition {
        self.next();
        self.expect("(");
        let first = self.operand();
        self.expect(",");
        let second = self.operand();
        self.expect(")");
        condition(first, second)
    }

    fn operand(&mut self) -> Operand {
        if self.peek() == "size" {
            return Operand::Size(self.path_in_brackets());
        }
        if self.peek().starts_with(':') {
            return Operand::Value(self.value());
        }
        Operand::Path(self.path())
    }

    fn value(&mut self) -> Value {
        let placeholder = self.next();
        assert!(
            placeholder.starts_with(':'),
            "{placeholder} is not a value: {}",
            self.text
        );
        let value = self
            .placeholders
            .take("ExpressionAttributeValues", &placeholder);
        value::check(value);
        value.clone()
    }

    fn value_of(&mut self, kinds: &[&str]) -> Value {
        let value = self.value();
        is_one_of(&value, kinds);
        value
    }

    fn path(&mut self) -> Path {
        let mut path = vec![self.name()];
        loop {
            if self.takes(".") {
                path.push(self.name());
            } else if self.takes("[") {
                let place = self.next();
                let Ok(place) = place.parse() else {
                    panic!("{place} is not a place in a list: {}", self.text);
                };
                path.push(Step::Place(place));
                self.expect("]");
            } else {
                return path;
            }
        }
    }

    fn name(&mut self) -> Step {
        let token = self.next();
        if token.starts_with('#') {
            let name = self.placeholders.take("ExpressionAttributeNames", &token);
            return Step::Name(name.as_str().unwrap_or_default().to_owned());
        }
        let letter = token.starts_with(|first: char| first.is_ascii_alphabetic());
        assert!(letter, "{token} is not an attribute name: {}", self.text);
        let reserved = RESERVED
            .split_whitespace()
            .any(|word| word.eq_ignore_ascii_case(&token));
        assert!(!reserved, "{token} is a reserved word: {}", self.text);
        let function = self.peek() == "(";
        assert!(!function, "there is no function {token}: {}", self.text);
        Step::Name(token)
    }

    fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut clauses = BTreeSet::new();
        while !self.tokens.is_empty() {
            let clause = self.next().to_ascii_uppercase();
            loop {
                let path = self.path();
                changes.push(match clause.as_str() {
                    "SET" => {
                        self.expect("=");
                        Change::Set(path, self.stored())
                    }
                    "REMOVE" => Change::Remove(path),
                    "ADD" => Change::Add(path, self.value_of(&["N", "SS", "NS", "BS"])),
                    "DELETE" => Change::Delete(path, self.value_of(&["SS", "NS", "BS"])),
                    _ => panic!("{clause} is not a clause of an update: {}", self.text),
                });
                if !self.takes(",") {
                    break;
                }
            }
            assert!(clauses.insert(clause), "a duplicate clause: {}", self.text);
        }
        assert!(!changes.is_empty(), "an update changes something");
        changes
    }

    fn stored(&mut self) -> Stored {
        let first = self.stored_operand();
        let minus = self.takes("-");
        if minus || self.takes("+") {
            let second = self.stored_operand();
            first.is("N");
            second.is("N");
            return Stored::Sum(Box::new(first), Box::new(second), minus);
        }
        first
    }

    fn stored_operand(&mut self) -> Stored {
        match self.peek() {
            "if_not_exists" => {
                self.next();
                self.expect("(");
                let path = self.path();
                self.expect(",");
                let other = self.stored_operand();
                self.expect(")");
                Stored::IfNotExists(path, Box::new(other))
            }
            "list_append" => {
                self.next();
                self.expect("(");
                let first = self.stored_operand();
                self.expect(",");
                let second = self.stored_operand();
                self.expect(")");
                first.is("L");
                second.is("L");
                Stored::ListAppend(Box::new(first), Box::new(second))
            }
            "size" => panic!("an update has no size(): {}", self.text),
            _ => Stored::Operand(self.operand()),
        }
    }
}

fn only(mut terms: Vec<Condition>, several: impl FnOnce(Vec<Condition>) -> Condition) -> Condition {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        last => {
            terms.extend(last);
            several(terms)
        }
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let length = if word(first) || first == '#' || first == ':' {
            rest[1..]
                .find(|other| !word(other))
                .map_or(rest.len(), |end| end + 1)
        } else if ["<>", "<=", ">="].iter().any(|two| rest.starts_with(two)) {
            2
        } else {
            assert!(
                "()[],.=<>+-".contains(first),
                "{first} is not a token: {text}"
            );
            1
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    assert!(!tokens.is_empty(), "an expression is not empty");
    tokens
}
