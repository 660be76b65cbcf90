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
    csv::{self, Column, File, Owner, Row},
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

/// Whether something is done, or only said.
#[derive(Clone, Copy)]
enum Doing {
    It,
    Nothing,
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
        let left = self.leave_former(&upload.file, former, accepted, file, Doing::It);
        left.await
    }

    /// What [`take_back`](Self::take_back) would say and give now. Changes no request.
    ///
    /// # Errors
    /// If a call fails.
    pub(crate) async fn would_take_back(
        &self,
        own: &FileId,
        former: &Results,
        accepted: &BTreeSet<String>,
        file: &mut File,
    ) -> Result<usize, UploadError> {
        self.leave_former(own, former, accepted, file, Doing::Nothing)
            .await
    }

    async fn leave_former(
        &self,
        own: &FileId,
        former: &Results,
        accepted: &BTreeSet<String>,
        file: &mut File,
        doing: Doing,
    ) -> Result<usize, UploadError> {
        let Ok(before) = csv::read(&former.bytes, Owner::Optional) else {
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
            let former = match (held.get(&row.key()), doing) {
                (None, _) => Former::Other,
                (Some(request), Doing::Nothing) => outlook(own, request, left_out),
                (Some(request), Doing::It) => self.leave(own, request, left_out).await?,
            };
            taken_back += usize::from(matches!(former, Former::TakenBack));
            show(file, &own.key, row, &former);
        }
        Ok(taken_back)
    }

    /// Takes back what an upload has started that turns out to be older than the results: an interrupted invocation
    /// left it.
    ///
    /// # Errors
    /// If a call fails, or other invocations keep changing a request.
    pub(crate) async fn take_back_older(&self, upload: &Upload) -> Result<(), UploadError> {
        let Content::Bytes { bytes, .. } = self.bucket.file(upload).await? else {
            return Ok(());
        };
        let Ok(file) = csv::read(&bytes, Owner::Optional) else {
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
        held: &AccountRequest,
        left_out: bool,
    ) -> Result<Former, UploadError> {
        let mut request = held.clone();
        for _ in 0..TRIES {
            let former = outlook(file, &request, left_out);
            let left = match (&former, request.status) {
                (Former::TakenBack | Former::Wanted(_), Status::Valid) => {
                    let versions = request.versions_of(&file.key);
                    let withdrawn = self.ledger.withdraw(&request, &versions, TAKEN_BACK);
                    withdrawn.await?
                }
                (Former::Begun(_), _) if !request.is_of(file) => {
                    // This version waits for it too, so that its results show the end.
                    let follow = Submission::Follow {
                        account_email: request.account_email.clone(),
                        attempt: request.attempt,
                    };
                    self.ledger.submit(file, &[follow]).await?.is_empty()
                }
                _ => true,
            };
            if left {
                return Ok(former);
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

/// What becomes of a request when the earlier versions of a file leave it. `left_out`: the newer version does not have
/// the row at all.
fn outlook(file: &FileId, request: &AccountRequest, left_out: bool) -> Former {
    let versions = request.versions_of(&file.key);
    match request.status {
        _ if versions.is_empty() => Former::Other,
        Status::Valid if versions.len() == request.files.len() => Former::TakenBack,
        Status::Valid => Former::Wanted(request.clone()),
        Status::Provisioning | Status::Assigning if left_out => Former::Begun(request.clone()),
        // A crash came between this and the results.
        Status::Failed if request.withdrawn => Former::TakenBack,
        Status::Provisioning | Status::Assigning | Status::Succeeded | Status::Failed => {
            Former::Other
        }
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
