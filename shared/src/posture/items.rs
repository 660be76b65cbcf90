//! The items of the table `Posture`, as each function of the flow reads and writes them; what only one of them does is a
//! gateway of that function.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    pair::KEY,
    verdict::{self, FileVerdicts},
};
use crate::{
    aws::{CallCounter, client},
    aws_error::{AwsCallError, Service},
    items::{Item, TableError, held, read_items, write_items},
};

/// A gateway to the table.
#[derive(Debug)]
pub struct PostureItems {
    /// What calls it.
    pub client: Client,
    /// Its name.
    pub name: String,
}

impl PostureItems {
    /// A gateway to the table with this name. Makes no AWS call.
    #[must_use]
    pub fn connect(sdk: &SdkConfig, calls: &CallCounter, name: &str) -> Self {
        Self {
            client: client!(aws_sdk_dynamodb, sdk, calls),
            name: name.to_owned(),
        }
    }

    /// What was decided about versions of the file (`GetItem`).
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn verdicts(&self) -> Result<FileVerdicts, TableError> {
        Ok(self.read(verdict::KEY).await?.unwrap_or_default())
    }

    /// The item with this key (`GetItem`).
    ///
    /// # Errors
    /// If the call fails, or the item is of another form.
    pub async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, TableError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| AwsCallError::new(Service::DynamoDb, "GetItem", &error))?;
        Ok(answer.item.map(serde_dynamo::from_item).transpose()?)
    }

    /// The items with these keys, as far as there are any (`BatchGetItem`).
    ///
    /// # Errors
    /// If a call fails, or an item is of another form: never a part of them.
    pub async fn read_all<T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<Vec<T>, TableError> {
        let key = |key| Item::from([(KEY.to_owned(), AttributeValue::S(key))]);
        let keys = keys.into_iter().map(key).collect();
        let items = read_items(&self.client, &self.name, keys).await?;
        let items = items.into_iter().map(serde_dynamo::from_item);
        Ok(items.collect::<Result<_, _>>()?)
    }

    /// Puts items, over what is there (`BatchWriteItem`).
    ///
    /// # Errors
    /// If a call fails: some may be written then.
    pub async fn write_all<T: Serialize>(&self, items: &[T]) -> Result<(), TableError> {
        let items = items.iter().map(serde_dynamo::to_item);
        let items = items.collect::<Result<Vec<Item>, _>>()?;
        Ok(write_items(&self.client, &self.name, items).await?)
    }

    /// Puts an item in place of the one in which an attribute has this value, or of none: false if there is another one
    /// (`PutItem`).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn replace(
        &self,
        item: &impl Serialize,
        last: Option<(&str, AttributeValue)>,
    ) -> Result<bool, TableError> {
        let item: Item = serde_dynamo::to_item(item)?;
        let put = self.client.put_item().table_name(&self.name);
        let put = match last {
            None => put
                .condition_expression("attribute_not_exists(#Pair)")
                .expression_attribute_names("#Pair", KEY),
            Some((name, value)) => put
                .condition_expression(format!("{name} = :last"))
                .expression_attribute_values(":last", value),
        };
        let answer = put.set_item(Some(item)).send().await;
        let answer =
            answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "PutItem", &error));
        Ok(held(answer)?)
    }

    /// Notes that a part of a survey or a run has ended, and adds its counts: once, however often it is noted. What is not
    /// known has no summary (`UpdateItem`).
    ///
    /// # Errors
    /// If the call fails.
    pub async fn end_part(
        &self,
        key: &str,
        part: u64,
        counts: &[(&str, u64)],
        now: Timestamp,
    ) -> Result<(), TableError> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let counts: Vec<&(&str, u64)> = counts.iter().filter(|(_, count)| *count > 0).collect();
        let added: Vec<String> = counts
            .iter()
            .map(|(name, _)| format!(", {name} :{name}"))
            .collect();
        let added = added.concat();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, AttributeValue::S(key.to_owned()))
            .update_expression(format!("SET EndedAt = :now ADD Ended :parts{added}"))
            .condition_expression("attribute_exists(#Pair) AND NOT contains(Ended, :part)")
            .expression_attribute_names("#Pair", KEY)
            .expression_attribute_values(":part", number(part))
            .expression_attribute_values(":parts", AttributeValue::Ns(vec![part.to_string()]))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()));
        for (name, count) in counts {
            update = update.expression_attribute_values(format!(":{name}"), number(*count));
        }
        let answer = update.send().await;
        let answer =
            answer.map_err(|error| AwsCallError::new(Service::DynamoDb, "UpdateItem", &error));
        held(answer)?;
        Ok(())
    }
}
