//! Backups of the database in a bucket of S3: the server is moto's (`tests/s3/serve.py`), which checks
//! signatures and rights as Amazon's does.
//!
//! `cargo xtask setup` puts it under `target/clients`. Where it is missing, the tests say so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::missing;
use tempfile::TempDir;

use super::{Database, FOUNDED_WITHIN, LOOK_EVERY, MEANS, Settings, example};

/// The server with an empty bucket; ended when dropped.
struct Bucket {
    child: Child,
    endpoint: String,
    id: String,
    secret: String,
    folder: TempDir,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Bucket {
    /// Starts it; `None`, and a line that says so, where it is missing.
    async fn start() -> Result<Option<Self>> {
        let moto = here("../../target/clients/moto");
        let means = if moto.join("flask_cors").is_dir() { missing(MEANS) } else { Some("moto") };
        if let Some(means) = means {
            println!(
                "not run, promise untested: backups of the database in a bucket (needs {means})"
            );
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let said = folder.path().join("said");
        let child = Command::new("python3")
            .arg(here("tests/s3/serve.py"))
            .env("PYTHONPATH", moto)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(File::create(&said)?)
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()
            .context("start moto")?;
        let empty = String::new;
        let mut bucket = Self { child, endpoint: empty(), id: empty(), secret: empty(), folder };
        let end = Instant::now() + FOUNDED_WITHIN;
        loop {
            let said = fs::read_to_string(&said)?;
            if let ([address, id, secret], true) =
                (&said.split_whitespace().collect::<Vec<_>>()[..], said.ends_with('\n'))
            {
                bucket.endpoint = format!("http://{address}");
                (bucket.id, bucket.secret) = ((*id).to_owned(), (*secret).to_owned());
                return Ok(Some(bucket));
            }
            let log = || fs::read_to_string(bucket.folder.path().join("log")).unwrap_or_default();
            ensure!(Instant::now() < end, "moto did not come up: {}", log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// How members reach it, with this secret in the file that they read it from.
    fn settings(&self, secret: &str) -> Result<Settings> {
        fs::write(self.secret_file(), secret)?;
        Ok(vec![
            ("MARIADB_BACKUPS", "s3://backups/of/test".to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY_FILE", self.secret_file().display().to_string()),
        ])
    }

    /// Runs commands with the functions of `place.sh`; what they print.
    fn place(&self, commands: &str) -> Result<String> {
        let script = format!(". \"$0/bin/lib.sh\"; . \"$BIN/place.sh\"; {commands}");
        let done = Command::new("bash")
            .args(["-c", &script])
            .arg(example())
            .envs(self.settings(&self.secret)?)
            .env("MARIADB_HOME", self.folder.path())
            .env("MARIADB_BACKUP_PART", "5")
            .output()?;
        let (said, failed) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        ensure!(done.status.success(), "{commands}: {said}{failed}");
        Ok(said.into_owned())
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Only this child, by its handle.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_backup_goes_to_a_bucket_in_parts_whole_or_not_at_all() -> Result<()> {
    let Some(bucket) = Bucket::start().await? else { return Ok(()) };
    bucket.place("head -c 12M /dev/urandom >\"$HOME_DIR/sent\"")?;
    bucket.place("place_put 1.gz cat \"$HOME_DIR/sent\"")?;
    bucket.place("place_get 1.gz | cmp - \"$HOME_DIR/sent\"")?;
    bucket
        .place("breaks_off() { cat \"$HOME_DIR/sent\"; return 1; }; ! place_put 2.gz breaks_off")?;
    ensure!(bucket.place("place_names")? == "1.gz\n", "what broke off is there");
    let log = fs::read_to_string(bucket.folder.path().join("log"))?;
    ensure!(
        log.matches("1.gz?partNumber=").count() == 3,
        "12 MiB are not three parts of 5:\n{log}"
    );
    ensure!(log.contains("\"DELETE /backups/of/test/2.gz?uploadId="), "parts were left:\n{log}");
    bucket.place("place_drop 1.gz; ! place_get 1.gz")?;
    Ok(())
}

#[tokio::test]
async fn members_clone_from_a_bucket_and_a_wrong_key_is_said_and_mended() -> Result<()> {
    let Some(bucket) = Bucket::start().await? else { return Ok(()) };
    let mut settings = bucket.settings("wrong")?;
    settings.extend([
        ("MARIADB_BACKUP_EVERY", "2".to_owned()),
        ("MARIADB_BACKUP_KEEP", "2".to_owned()),
    ]);
    let database = Database::start(&["db1", "db2"], settings).await?;
    database.says(|logs| logs.contains("SignatureDoesNotMatch")).await?;
    ensure!(!database.logs().contains(&bucket.secret), "the secret is in the log");
    fs::write(bucket.secret_file(), &bucket.secret)?;
    database.takes_writes().await?;
    ensure!(database.logs().contains("clones backup"), "nobody cloned");
    database.says(|logs| logs.matches(".mariabackup.gz at ").count() >= 4).await?;
    let end = Instant::now() + FOUNDED_WITHIN;
    while bucket.place("place_names")?.lines().count() != 2 {
        ensure!(Instant::now() < end, "old backups stay: {}", bucket.place("place_names")?);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
