//! The DynamoDB of the tests evaluates as the Developer Guide says, and refuses what DynamoDB refuses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use orgkeeper_tests::dynamodb::{ACCOUNTS, DynamoDb, VENDING_STATE};
use serde_json::{Value, json};

const KEY: &str = "k";

/// A table with one item.
fn table() -> DynamoDb {
    let tables = DynamoDb::new();
    let item = json!({ "Id": { "S": KEY }, "Word": { "S": "payments" }, "Ten": { "N": "10" },
        "Half": { "N": "0.50" }, "Tags": { "SS": ["a", "b"] }, "Steps": { "L": [{ "S": "x" }, { "N": "2" }] },
        "Inside": { "M": { "In": { "S": "side" } } }, "Yes": { "BOOL": true } });
    tables.put(VENDING_STATE, &item);
    tables
}

/// A request about the item whose placeholders are just those that the expressions use.
fn request(fields: &[(&str, &str)]) -> Value {
    let mut request = json!({ "TableName": VENDING_STATE, "Key": { "Id": { "S": KEY } } });
    let mut names = json!({});
    let mut values = json!({});
    for (field, text) in fields {
        request[*field] = (*text).into();
        for (name, attribute) in [("#T", "Ten"), ("#id", "Id"), ("#in", "In")] {
            if text.contains(name) {
                names[name] = attribute.into();
            }
        }
        for (name, value) in [
            (":one", json!({ "N": "1" })),
            (":nine", json!({ "N": "9" })),
            (":ten", json!({ "N": "10.0" })),
            (":text", json!({ "S": "10" })),
            (":pay", json!({ "S": "pay" })),
            (":z", json!({ "S": "z" })),
            (":type", json!({ "S": "SS" })),
            (":ba", json!({ "SS": ["b", "a"] })),
            (":bc", json!({ "SS": ["b", "c"] })),
            (":a;", json!({ "S": "a" })),
            (":list", json!({ "L": [{ "S": "y" }] })),
        ] {
            let name = name.trim_end_matches(';');
            let used = text.split(|c: char| !c.is_alphanumeric() && c != ':');
            if used.into_iter().any(|word| word == name) {
                values[name] = value;
            }
        }
    }
    for (field, map) in [
        ("ExpressionAttributeNames", names),
        ("ExpressionAttributeValues", values),
    ] {
        if map != json!({}) {
            request[field] = map;
        }
    }
    request
}

fn refused(operation: &str, request: &Value) -> bool {
    let tables = table();
    catch_unwind(AssertUnwindSafe(|| tables.evaluate(operation, request))).is_err()
}

#[test]
fn conditions_hold_as_documented() {
    for (condition, holds) in [
        ("Word = :pay", false),
        ("Word <> :pay", true),
        ("begins_with(Word, :pay)", true),
        ("begins_with(Word, :z)", false),
        ("contains(Word, :a)", true),
        ("contains(Tags, :a)", true),
        ("contains(Tags, :z)", false),
        ("contains(Steps, :one)", false),
        // Numbers are compared by what they are worth, and never with texts.
        ("#T = :ten", true),
        ("#T = :text", false),
        ("#T > :nine", true),
        ("#T < :text", false),
        ("Half < :one", true),
        ("#T BETWEEN :nine AND :ten", true),
        ("#T BETWEEN :one AND :nine", false),
        ("#T IN (:one, :ten)", true),
        ("#T IN (:one, :nine)", false),
        // Sets have no order.
        ("Tags = :ba", true),
        ("Tags = :bc", false),
        ("attribute_type(Tags, :type)", true),
        ("attribute_type(Word, :type)", false),
        ("size(Tags) > :one", true),
        ("size(Word) < :nine", true),
        ("Inside.#in > :pay", true),
        ("Steps[1] > :one", true),
        ("attribute_exists(Steps[2])", false),
        // What is absent differs from everything, and is neither less nor more.
        ("attribute_exists(Absent)", false),
        ("attribute_not_exists(Absent)", true),
        ("Absent = :one", false),
        ("Absent <> :one", true),
        ("Absent < :one", false),
        ("NOT Absent < :one", true),
        ("size(Absent) < :nine", false),
        ("contains(Absent, :a)", false),
        // NOT before AND before OR, but for parentheses.
        ("Word = :z OR #T = :ten AND Half < :one", true),
        ("Word <> :z OR #T = :one AND Half > :one", true),
        ("(Word <> :z OR #T = :one) AND Half > :one", false),
        ("NOT Word = :z AND #T = :one", false),
        ("NOT (Word = :z AND #T = :one)", true),
        ("not Word = :z and #T in (:ten) or Half > :one", true),
    ] {
        let answer = table().evaluate(
            "DeleteItem",
            &request(&[("ConditionExpression", condition)]),
        );
        assert_eq!(answer.is_ok(), holds, "{condition}");
    }
}

#[test]
fn updates_change_the_item_as_documented() {
    for (update, attribute, value) in [
        ("SET Word = :z", "Word", json!({ "S": "z" })),
        ("SET #T = #T + :one", "Ten", json!({ "N": "11" })),
        ("SET #T = #T - Half", "Ten", json!({ "N": "9.5" })),
        (
            "SET Absent = if_not_exists(Absent, :nine) + :one",
            "Absent",
            json!({ "N": "10" }),
        ),
        (
            "SET #T = if_not_exists(#T, :nine) + :one",
            "Ten",
            json!({ "N": "11" }),
        ),
        (
            "SET Steps = list_append(Steps, :list)",
            "Steps",
            json!({ "L": [{ "S": "x" }, { "N": "2" }, { "S": "y" }] }),
        ),
        // Each sees the item as it was.
        (
            "SET Word = :z, Copied = Word",
            "Copied",
            json!({ "S": "payments" }),
        ),
        ("REMOVE Word SET Copied = Word", "Word", Value::Null),
        ("ADD #T :one", "Ten", json!({ "N": "11" })),
        ("ADD Absent :one", "Absent", json!({ "N": "1" })),
        ("ADD Tags :bc", "Tags", json!({ "SS": ["a", "b", "c"] })),
        ("ADD Absent :ba", "Absent", json!({ "SS": ["b", "a"] })),
        ("DELETE Tags :bc", "Tags", json!({ "SS": ["a"] })),
        // An empty set is none.
        ("DELETE Tags :ba", "Tags", Value::Null),
        ("DELETE Absent :ba", "Absent", Value::Null),
    ] {
        let tables = table();
        let answer = tables.evaluate("UpdateItem", &request(&[("UpdateExpression", update)]));
        assert!(answer.is_ok(), "{update}");
        let item = tables.get(VENDING_STATE, KEY).unwrap_or_default();
        assert_eq!(item[attribute], value, "{update}");
    }
}

#[test]
fn what_dynamodb_refuses_panics() {
    for condition in [
        "Word = ",
        "Word == :z",
        "Word = :z extra",
        "(Word = :z",
        "Word LIKE :z",
        "like(Word, :z)",
        "Attribute_Exists(Word)",
        "Word = :absent",
        "#Absent = :z",
        "Word = 'z'",
        "Word = :z; Word = :z",
        // Reserved words need a placeholder.
        "Status = :z",
        "size = :one",
        // Whatever the item is, these operands are of the wrong type.
        "begins_with(Word, :one)",
        "#T < :ba",
        "Word BETWEEN :z AND :pay",
        "Absent > :one AND begins_with(Word, :one)",
    ] {
        let request = request(&[("ConditionExpression", condition)]);
        assert!(refused("DeleteItem", &request), "{condition}");
    }
    for update in [
        "Word = :z",
        "SET Word :z",
        "SET Word = :z SET Copied = :z",
        "SET Word = :z, Word = :pay",
        "SET Word = :z REMOVE Word",
        "SET Id = :z",
        "REMOVE #id",
        "SET Word = Absent",
        "SET Word = Word + :one",
        "SET Word = :z + :one",
        "ADD Word :z",
        "ADD Word :one",
        "DELETE Tags :a",
        "PUT Word :z",
    ] {
        let request = request(&[("UpdateExpression", update)]);
        assert!(refused("UpdateItem", &request), "{update}");
    }
}

#[test]
fn requests_that_dynamodb_refuses_panic() {
    let good = || request(&[("ConditionExpression", "#T = :ten")]);
    assert!(!refused("DeleteItem", &good()));
    for (pointer, value) in [
        ("/ExpressionAttributeNames/#Unused", json!("Word")),
        ("/ExpressionAttributeValues/:unused", json!({ "S": "x" })),
        ("/ExpressionAttributeValues/:ten", json!({ "N": "ten" })),
        ("/ExpressionAttributeValues/:ten", json!({ "SS": [] })),
        (
            "/ExpressionAttributeValues/:ten",
            json!({ "S": "x", "N": "1" }),
        ),
        ("/Key/Id", json!({ "S": "" })),
        ("/Key/Copied", json!({ "S": "x" })),
        ("/TableName", json!("Absent")),
        ("/Expected", json!({})),
        ("/ReturnValues", json!("EVERYTHING")),
    ] {
        let mut bad = good();
        let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = bad.pointer_mut(parent) {
            parent[field] = value;
        }
        assert!(refused("DeleteItem", &bad), "{pointer}");
    }
    let item = |item: Value| json!({ "TableName": VENDING_STATE, "Item": item });
    assert!(refused(
        "PutItem",
        &item(json!({ "Word": { "S": "no key" } }))
    ));
    assert!(refused(
        "PutItem",
        &item(json!({ "Id": { "S": "x" }, "Tags": { "SS": [] } }))
    ));
    assert!(refused("ExecuteStatement", &json!({})));
}

/// An action of a transaction on the item with this key.
fn action(kind: &str, key: &str, fields: &[(&str, &str)]) -> Value {
    let mut action = request(fields);
    action["Key"]["Id"]["S"] = key.into();
    json!({ kind: action })
}

#[test]
fn a_transaction_is_all_or_nothing_and_says_why() {
    let tables = table();
    let set = |key: &str, condition: &str| {
        let fields = [
            ("ConditionExpression", condition),
            ("UpdateExpression", "SET Word = :z"),
            ("ReturnValuesOnConditionCheckFailure", "ALL_OLD"),
        ];
        action("Update", key, &fields)
    };
    let before = tables.all();
    let actions = [
        set("new", "attribute_not_exists(Word)"),
        set(KEY, "#T = :one"),
        set("other", "attribute_exists(Word)"),
    ];
    let failed = tables.evaluate("TransactWriteItems", &json!({ "TransactItems": actions }));
    let failed = failed.expect_err("a condition does not hold");
    let reasons = &failed["CancellationReasons"];
    assert_eq!(reasons[0], json!({ "Code": "None" }));
    assert_eq!(reasons[1]["Code"], "ConditionalCheckFailed");
    assert_eq!(reasons[1]["Item"], before[VENDING_STATE][KEY]);
    assert_eq!(reasons[2]["Code"], "ConditionalCheckFailed");
    assert_eq!(reasons[2]["Item"], Value::Null, "there was no item");
    assert_eq!(tables.all(), before);

    let actions = [
        set("new", "attribute_not_exists(Word)"),
        action(
            "ConditionCheck",
            KEY,
            &[("ConditionExpression", "#T = :ten")],
        ),
        action("Delete", "gone", &[]),
    ];
    let request = json!({ "TransactItems": actions, "ClientRequestToken": "one" });
    // The same token again does nothing.
    for _ in 0..2 {
        assert!(tables.evaluate("TransactWriteItems", &request).is_ok());
    }
    assert_eq!(tables.items(VENDING_STATE)["new"]["Word"]["S"], "z");
}

#[test]
fn transactions_that_dynamodb_refuses_panic() {
    let check = |key: &str| {
        action(
            "ConditionCheck",
            key,
            &[("ConditionExpression", "#T = :ten")],
        )
    };
    let many: Vec<Value> = (0..101).map(|n| check(&n.to_string())).collect();
    for actions in [
        vec![],
        many,
        vec![check(KEY), check(KEY)],
        vec![action("ConditionCheck", KEY, &[])],
        vec![action("Update", KEY, &[])],
        vec![action("Get", KEY, &[])],
    ] {
        let request = json!({ "TransactItems": actions });
        assert!(refused("TransactWriteItems", &request), "{request}");
    }
}

#[test]
fn an_index_is_queried_in_order_and_in_pages() {
    let tables = DynamoDb::new();
    for (email, status, queued) in [
        ("c", "VALID", 30),
        ("a", "VALID", 9),
        ("b", "DONE", 1),
        ("d", "VALID", 100),
    ] {
        tables.put(
            ACCOUNTS,
            &json!({ "AccountEmail": { "S": email }, "Status": { "S": status },
            "QueuedAt": { "N": queued.to_string() } }),
        );
    }
    tables.put(
        ACCOUNTS,
        &json!({ "AccountEmail": { "S": "not in the index" } }),
    );
    let mut request = json!({
        "TableName": ACCOUNTS, "IndexName": "ByStatus", "Limit": 1,
        "KeyConditionExpression": "#Status = :valid AND QueuedAt <= :now",
        "ExpressionAttributeNames": { "#Status": "Status" },
        "ExpressionAttributeValues": { ":valid": { "S": "VALID" }, ":now": { "N": "50" } },
    });
    let mut found = Vec::new();
    loop {
        let page = tables.evaluate("Query", &request).unwrap_or_default();
        for item in page["Items"].as_array().into_iter().flatten() {
            found.push(item["AccountEmail"]["S"].clone());
        }
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
        if request["ExclusiveStartKey"].is_null() {
            break;
        }
    }
    assert_eq!(found, ["a", "c"]);
    for condition in [
        "QueuedAt <= :now AND #Status <> :valid",
        "#Status = :valid OR QueuedAt <= :now",
    ] {
        request["KeyConditionExpression"] = condition.into();
        assert!(refused("Query", &request), "{condition}");
    }
}
