//! The parameters of an order.

use orgkeeper_shared::remediation::order::Order;

/// The first value of a parameter.
#[must_use]
pub fn text<'a>(order: &'a Order, name: &str) -> Option<&'a str> {
    let value = order.parameters.get(name)?.first()?.trim();
    Some(value).filter(|value| !value.is_empty())
}

/// Another bucket for access logs than ours.
#[must_use]
pub fn log_bucket(order: &Order) -> Option<&str> {
    text(order, "log_bucket")
}

/// The first value of a parameter, as a number.
#[must_use]
pub fn number(order: &Order, name: &str) -> Option<i32> {
    text(order, name)?.parse().ok()
}

/// The first value of a parameter, as yes or no.
#[must_use]
pub fn flag(order: &Order, name: &str) -> Option<bool> {
    let value = text(order, name)?;
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, flag)| value.eq_ignore_ascii_case(word).then_some(flag))
}

#[cfg(test)]
pub(crate) mod tests {
    use orgkeeper_shared::remediation::{order::Task, target::Target};

    use super::*;

    /// An order about a resource of account 111122223333 in eu-west-1.
    pub(crate) fn order(control: &str, resource: &str, parameters: &[(&str, &str)]) -> Order {
        Order {
            task: Task::Fix,
            control: control.to_owned(),
            action: String::new(),
            target: Target {
                account: "111122223333".parse().unwrap(),
                region: "eu-west-1".to_owned(),
                resource: resource.to_owned(),
            },
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
                .collect(),
            undo: None,
            since: None,
        }
    }

    /// An order about account 111122223333.
    pub(crate) fn account_order(control: &str, parameters: &[(&str, &str)]) -> Order {
        order(control, "AWS::::Account:111122223333", parameters)
    }

    #[test]
    fn a_parameter_is_read_as_what_it_is() {
        let order = account_order("IAM.7", &[("a", " 14 "), ("b", "True"), ("c", " ")]);
        assert_eq!(text(&order, "a"), Some("14"));
        assert_eq!(number(&order, "a"), Some(14));
        assert_eq!(flag(&order, "b"), Some(true));
        assert_eq!(
            (text(&order, "c"), number(&order, "b"), flag(&order, "a")),
            (None, None, None)
        );
    }
}
