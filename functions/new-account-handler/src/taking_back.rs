//! Rows of an earlier version of a file that the newer one does not have any more, or has with a fault.
//!
//! The newest version of a file is what its writer wants: a row that has not begun is taken back, one that has begun
//! goes on, and its results say so.

use std::collections::{BTreeSet, HashMap};

use orgkeeper_shared::{
    aws_error::AwsCallError,
    vending::{
        file::FileId,
        request::{AccountRequest, Status},
        submission::Submission,
    },
};

use crate::{
    csv::{self, Column, File, Row},
    gateway::bucket::{Content, Results},
    message::{Upload, results_key},
    results,
    upload_processor::{UploadError, UploadProcessor},
};

/// How often a request that others change at the same time is read again.
const TRIES: usize = 3;
/// What the results say of a row that was taken back.
const TAKEN_BACK: &str = "taken back before it began, because the newer version of the file does not have this row any \
                          more: no account was created. Its name and address are free";
/// What the results say of a row whose newer version has a fault.
const TAKEN_BACK_FOR_ITS_FAULT: &str = "its earlier version, which waited, was taken back";
/// What the results say of a row that cannot be taken back any more.
const TOO_LATE: &str = "the newer version of the file does not have this row any more, but it had begun: the account is \
                        created. Close it afterwards if nobody needs it";

/// What became of a request of an earlier version.
enum Former {
    /// It was taken back.
    TakenBack,
    /// Another file still asks for it.
    Wanted(AccountRequest),
    /// It had begun.
    Begun(AccountRequest),
    /// It has ended, or is none of this file's.
    Other,
}

impl UploadProcessor {
    /// Takes back what waits of earlier versions of a file, of which these are the results, and is none of the
    /// `accepted` requests. Says so in the rows of `file`, and appends those that it does not have. Gives the number
    /// of rows that were taken back.
    ///
    /// # Errors
    /// If a call fails, or other invocations keep changing a request.
    pub(crate) async fn take_back(
        &self,
        upload: &Upload,
        former: &Results,
        accepted: &BTreeSet<String>,
        file: &mut File,
    ) -> Result<usize, UploadError> {
        let Ok(before) = csv::read(&former.bytes) else {
            return Ok(0);
        };
        let mut keys = BTreeSet::new();
        let open: Vec<Row> = before
            .rows
            .into_iter()
            .filter(|row| results::is_open(row) && !accepted.contains(&row.key()))
            .filter(|row| keys.insert(row.key()))
            .collect();
        if open.is_empty() {
            return Ok(0);
        }
        let held = self.ledger.read(keys.iter().map(String::as_str)).await?;
        let mut taken_back = 0;
        for row in open {
            let left_out = !file.rows.iter().any(|newer| newer.key() == row.key());
            let former = self
                .leave(&upload.file, held.get(&row.key()), left_out)
                .await?;
            taken_back += usize::from(matches!(former, Former::TakenBack));
            show(file, &upload.file.key, row, &former);
        }
        Ok(taken_back)
    }

    /// Takes back what an upload has started that turns out to be older than the results: an interrupted invocation
    /// left it.
    ///
    /// # Errors
    /// If a call fails, or other invocations keep changing a request.
    pub(crate) async fn take_back_older(&self, upload: &Upload) -> Result<(), UploadError> {
        let Content::Bytes(bytes) = self.bucket.file(upload).await? else {
            return Ok(());
        };
        let Ok(file) = csv::read(&bytes) else {
            return Ok(());
        };
        let keys: BTreeSet<String> = file.rows.iter().map(Row::key).collect();
        let held = self.ledger.read(keys.iter().map(String::as_str)).await?;
        for request in held.values() {
            let mut request = request.clone();
            for _ in 0..TRIES {
                if request.status != Status::Valid || !request.is_of(&upload.file) {
                    break;
                }
                let own = std::slice::from_ref(&upload.file);
                if self.ledger.withdraw(&request, own, TAKEN_BACK).await? {
                    break;
                }
                match self.read_one(&request.account_email).await? {
                    Some(now) => request = now,
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Has the earlier versions of a file leave a request. `left_out`: the newer version does not have the row at all.
    async fn leave(
        &self,
        file: &FileId,
        held: Option<&AccountRequest>,
        left_out: bool,
    ) -> Result<Former, UploadError> {
        let Some(mut request) = held.cloned() else {
            return Ok(Former::Other);
        };
        for _ in 0..TRIES {
            let versions = request.versions_of(&file.key);
            if versions.is_empty() {
                return Ok(Former::Other);
            }
            match request.status {
                Status::Valid => {
                    if self
                        .ledger
                        .withdraw(&request, &versions, TAKEN_BACK)
                        .await?
                    {
                        let alone = versions.len() == request.files.len();
                        return Ok(if alone {
                            Former::TakenBack
                        } else {
                            Former::Wanted(request)
                        });
                    }
                }
                Status::Provisioning | Status::Assigning if !left_out => return Ok(Former::Other),
                Status::Provisioning | Status::Assigning => {
                    // This version waits for it too, so that its results show the end.
                    let follow = Submission::Follow {
                        account_email: request.account_email.clone(),
                        attempt: request.attempt,
                    };
                    if request.is_of(file) || self.ledger.submit(file, &[follow]).await?.is_empty()
                    {
                        return Ok(Former::Begun(request));
                    }
                }
                // A crash came between this and the results.
                Status::Failed if request.withdrawn => return Ok(Former::TakenBack),
                Status::Succeeded | Status::Failed => return Ok(Former::Other),
            }
            match self.read_one(&request.account_email).await? {
                Some(now) => request = now,
                None => return Ok(Former::Other),
            }
        }
        Err(UploadError::Conflict)
    }

    async fn read_one(&self, email: &str) -> Result<Option<AccountRequest>, AwsCallError> {
        let mut found: HashMap<String, AccountRequest> = self.ledger.read([email]).await?;
        Ok(found.remove(email))
    }
}

/// Shows in a file what became of a row of its earlier version.
fn show(file: &mut File, key_of_file: &str, mut row: Row, former: &Former) {
    let key = row.key();
    let newer = file.rows.iter_mut().find(|row| row.key() == key);
    match (former, newer) {
        (Former::TakenBack, Some(newer)) => {
            let words = format!(
                "{}; {TAKEN_BACK_FOR_ITS_FAULT}",
                newer.get(Column::ErrorMsg)
            );
            results::refuse(newer, &words);
        }
        (Former::TakenBack, None) => {
            results::refuse(&mut row, TAKEN_BACK);
            file.rows.push(row);
        }
        (Former::Wanted(request), None) => {
            let own = results_key(key_of_file);
            let others = request.files.iter().filter_map(|file| file.parse().ok());
            let other = others
                .map(|file: FileId| results_key(&file.key))
                .find(|other| *other != own)
                .unwrap_or_default();
            results::refuse(
                &mut row,
                &format!("this file does not ask for it any more, another one does: see {other}"),
            );
            file.rows.push(row);
        }
        (Former::Begun(request), None) => {
            results::fill_in(&mut row, request);
            row.set(Column::ErrorMsg, TOO_LATE);
            file.rows.push(row);
        }
        (Former::Wanted(_) | Former::Begun(_), Some(_)) | (Former::Other, _) => {}
    }
}
