//! What `orgkeeper doctor` prints.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    check::{Check, NOT_DEPLOYED, Verdict},
    subject::Subject,
};

/// The width of the first two columns.
const STATE_WIDTH: usize = 11;
const ID_WIDTH: usize = 28;

/// The whole result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The account that was examined.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The stack's name.
    pub stack: String,
    /// Whether it exists.
    pub deployed: bool,
    /// A line for each check, in the order of the table.
    pub checks: Vec<Line>,
    /// What became of a test message in each flow; empty if none was sent.
    pub flow_tests: Vec<FlowTest>,
}

/// The result of a check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The check's name.
    pub id: &'static str,
    /// The question.
    pub question: &'static str,
    /// The permissions that it needs.
    pub needs: &'static [&'static str],
    /// What it says.
    pub state: State,
    /// What was found, or why it was not checked.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What became of a test message in a flow.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowTest {
    /// The flow.
    pub flow: &'static str,
    /// What it says.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What a check or a test of a flow says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All is well.
    Ok,
    /// There is something to do.
    ToDo,
    /// It was not checked.
    NotChecked,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToDo => "to do",
            Self::NotChecked => "not checked",
        }
    }
}

impl Line {
    /// The line of a check.
    #[must_use]
    pub fn of(check: &Check, verdict: Verdict) -> Self {
        let (state, found, fix) = match verdict {
            Verdict::Fine(found) => (State::Ok, found, None),
            Verdict::ToDo { found, fix } => (State::ToDo, found, Some(fix)),
            Verdict::NotChecked(why) => (State::NotChecked, why, None),
        };
        Self {
            id: check.id,
            question: check.question,
            needs: check.needs,
            state,
            found,
            fix,
        }
    }
}

impl Report {
    /// The report on `subject`.
    #[must_use]
    pub fn new(subject: &Subject, checks: Vec<Line>, flow_tests: Vec<FlowTest>) -> Self {
        Self {
            account: subject.account.clone(),
            region: subject.region.clone(),
            stack: subject.stack_name.clone(),
            deployed: subject.stack.is_some(),
            checks,
            flow_tests,
        }
    }

    fn states(&self) -> impl Iterator<Item = State> {
        let checks = self.checks.iter().map(|line| line.state);
        checks.chain(self.flow_tests.iter().map(|test| test.state))
    }

    /// How many lines say this.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.states().filter(|other| *other == state).count()
    }

    /// The report as text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self {
            account,
            region,
            stack,
            ..
        } = self;
        let deployed = if self.deployed {
            ""
        } else {
            " (not deployed yet)"
        };
        let mut text = format!("Account {account}, Region {region}, stack {stack}{deployed}\n\n");
        let (later, now): (Vec<&Line>, Vec<&Line>) = self
            .checks
            .iter()
            .partition(|line| line.found == NOT_DEPLOYED);
        for line in now {
            text.push_str(&lines(
                line.state,
                line.id,
                &line.found,
                line.fix.as_deref(),
            ));
        }
        if !later.is_empty() {
            let ids: Vec<&str> = later.iter().map(|line| line.id).collect();
            text.push_str(&lines(
                State::NotChecked,
                "after the deployment",
                &ids.join(", "),
                None,
            ));
        }
        for test in &self.flow_tests {
            let name = format!("test-event {}", test.flow);
            text.push_str(&lines(test.state, &name, &test.found, test.fix.as_deref()));
        }
        text + &format!(
            "\n{} ok, {} to do, {} not checked\n",
            self.count(State::Ok),
            self.count(State::ToDo),
            self.count(State::NotChecked)
        )
    }
}

fn lines(state: State, id: &str, found: &str, fix: Option<&str>) -> String {
    let state = state.word();
    let mut text = format!("{state:STATE_WIDTH$}  {id:ID_WIDTH$}  {found}\n");
    let indent = STATE_WIDTH + ID_WIDTH + 4;
    // Each command can be copied as a line.
    for step in fix.into_iter().flat_map(|fix| fix.split("; ")) {
        let _ = writeln!(text, "{:indent$}do: {step}", "");
    }
    text
}
