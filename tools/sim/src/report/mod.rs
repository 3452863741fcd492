//! What a person gets when a verdict is bad: the seed and the options to run it again, the smallest history that shows the
//! fault, and a drawing of it.

mod drawing;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::history::{FormatError, Header, History, Op};
use crate::linear::{Verdict, Witness};

/// A bad verdict with all that is needed to look into it.
#[derive(Debug)]
pub struct Failure<'a, O: Op> {
    /// The seed of the run.
    pub seed: u64,
    /// The options of the run: everything beside the seed that it depended on.
    pub options: &'a BTreeMap<String, String>,
    /// The name of the model that judged, as in [`Header::model`].
    pub model: &'a str,
    /// The whole history.
    pub history: &'a History<O>,
    /// The verdict.
    pub verdict: &'a Verdict,
}

/// Why a failure could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A file or the folder could not be made.
    #[error("write {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A history could not be written.
    #[error("write the history {path}")]
    History {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: FormatError,
    },
}

impl<O: Op> Failure<'_, O> {
    /// One paragraph for a terminal.
    pub fn summary(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Linearizable => "linearizable".to_owned(),
            Verdict::NotLinearizable(witness) => format!("not linearizable: {}", witness.reason),
            Verdict::Unknown { steps } => {
                format!("unknown after {steps} steps: raise the budget or shorten the run")
            }
        };
        let options: Vec<String> =
            self.options.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("model {}, seed {},{}: {verdict}", self.model, self.seed, options.join(""))
    }

    /// The drawing: one HTML page without outside references. Without a witness it shows the first operations.
    pub fn html(&self) -> String {
        drawing::page(self)
    }

    /// Writes `history.jsonl`, `minimal.jsonl` (where there is a witness), `drawing.html` and `summary.txt` into the
    /// folder, which is made if need be.
    ///
    /// # Errors
    /// [`SaveError`] with the file that could not be written.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| SaveError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io_error(folder))?;
        self.save_history(self.history, &folder.join("history.jsonl"))?;
        if let Some(witness) = self.witness() {
            self.save_history(
                &self.history.only(&witness.operations),
                &folder.join("minimal.jsonl"),
            )?;
        }
        for (name, text) in [("drawing.html", self.html()), ("summary.txt", self.summary() + "\n")]
        {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(io_error(&path))?;
        }
        Ok(())
    }

    fn witness(&self) -> Option<&Witness> {
        match self.verdict {
            Verdict::NotLinearizable(witness) => Some(witness),
            Verdict::Linearizable | Verdict::Unknown { .. } => None,
        }
    }

    fn save_history(&self, history: &History<O>, path: &Path) -> Result<(), SaveError> {
        let io_error = |source| SaveError::Io { path: path.to_owned(), source };
        let mut file = BufWriter::new(std::fs::File::create(path).map_err(io_error)?);
        let header = Header::new(self.model, &self.summary());
        history
            .write(&header, &mut file)
            .map_err(|source| SaveError::History { path: path.to_owned(), source })?;
        file.flush().map_err(io_error)
    }
}
