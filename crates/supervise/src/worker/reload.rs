//! Another configuration: read and checked whole before anything of it is followed.

use std::sync::Arc;

use super::book::Record;
use super::environment::{self, addresses};
use super::{Turn, Worker, WorkerError};
use crate::config::Level;
use crate::machine::Input;

impl Worker {
    /// Reads the configuration again and follows it. `Err` inside is why it was refused; everything
    /// runs on then.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) async fn reload(&mut self) -> Result<Result<Turn, String>, WorkerError> {
        self.parts.logger.say(Level::Debug, None, "control: reloading app via control plane");
        let followed = self.follow().await;
        let config = match followed {
            Ok(config) => config,
            Err(text) => {
                let said = format!("error initializing config: {text}");
                self.parts.logger.say(Level::Error, None, said.clone());
                return Ok(Err(said));
            }
        };
        let turn = self.turn(Input::Reload(config))?;
        self.parts.logger.say(Level::Debug, None, "control: reloaded app via control plane");
        Ok(Ok(turn))
    }

    async fn follow(&mut self) -> Result<Arc<crate::config::Config>, String> {
        let variables = environment::texts(self.environment.with(&self.book.variables));
        let loaded = self.surrounding.load(&variables).map_err(|fault| fault.to_string())?;
        let before = self.book.machine.config().clone();
        let held = self.book.machine.fences();
        self.parts.reconfigure(&before, &loaded.config, &held).await?;
        for warning in &loaded.warnings {
            self.parts.logger.say(Level::Warning, None, warning.as_str());
        }
        self.enter(Record::Set(addresses(&loaded.config)));
        Ok(Arc::new(loaded.config))
    }
}
