//! COPY with the client: its data comes and goes in messages of its own, between those of the
//! protocol that asked for it.

use rustling_sql::{CopyIn, CopyOut, Error};

use super::{Dispatcher, ENOUGH_OUTPUT, script::Script};
use crate::{
    backend,
    frontend::{Frontend, ProtocolError},
};

/// A COPY under way, with who is told how it ended.
pub(super) enum Copying {
    /// The client sends.
    In(Box<CopyIn>, Asker),
    /// The client receives.
    Out(Box<CopyOut>, Asker),
}

/// Who is told how it ended.
pub(super) enum Asker {
    /// A statement of a simple query, which begins so many bytes into its text.
    Script(usize),
    /// A portal.
    Portal(String),
}

impl Dispatcher {
    /// Begins a COPY from the client.
    pub(super) fn begin_copy_in(&mut self, copy: Box<CopyIn>, asker: Asker) {
        backend::copy_response(&mut self.out, b'G', copy.is_binary(), copy.columns());
        self.copying = Some(Copying::In(copy, asker));
    }

    /// Begins a COPY to the client.
    pub(super) fn begin_copy_out(&mut self, copy: Box<CopyOut>, asker: Asker) {
        backend::copy_response(&mut self.out, b'H', copy.is_binary(), copy.columns());
        self.copying = Some(Copying::Out(copy, asker));
    }

    /// Sends more of a COPY to the client: a row in each message, as some clients expect.
    pub(super) fn continue_copy_out(&mut self, mut copy: Box<CopyOut>, asker: Asker) {
        while self.out.len() < ENOUGH_OUTPUT {
            let start = self.out.len();
            let more = backend::copy_data(&mut self.out, |out| copy.next_part(out));
            if !matches!(more, Ok(true)) {
                self.out.truncate(start);
            }
            match more {
                Ok(true) => {}
                Ok(false) => {
                    backend::copy_done(&mut self.out);
                    let count = copy.count();
                    // It holds the transaction open.
                    drop(copy);
                    return self.copy_is_over(Ok(count), asker);
                }
                Err(error) => {
                    drop(copy);
                    return self.copy_is_over(Err(error), asker);
                }
            }
        }
        self.copying = Some(Copying::Out(copy, asker));
    }

    /// Takes a message while a COPY waits for the client's data; `false`: the client has gone.
    pub(super) fn copy_message(
        &mut self,
        mut copy: Box<CopyIn>,
        asker: Asker,
        message: Frontend,
    ) -> bool {
        let result = match message {
            Frontend::CopyData(data) => match copy.write(&mut self.session, &data) {
                Ok(()) => {
                    self.copying = Some(Copying::In(copy, asker));
                    return true;
                }
                Err(error) => {
                    drop(copy);
                    Err(error)
                }
            },
            Frontend::CopyDone => copy.finish(&mut self.session),
            Frontend::CopyFail(reason) => Err(copy.fail(&mut self.session, &reason)),
            // Clients that do not wait for the answer send these right behind Execute.
            Frontend::Flush | Frontend::Sync => {
                self.copying = Some(Copying::In(copy, asker));
                return true;
            }
            Frontend::Terminate => return false,
            _ => {
                drop(copy);
                Err(ProtocolError::new("unexpected message type during COPY from stdin").into())
            }
        };
        self.copy_is_over(result, asker);
        true
    }

    /// Tells how it ended.
    pub(super) fn copy_is_over(&mut self, result: Result<u64, Error>, asker: Asker) {
        match (result, asker) {
            (Ok(count), asker) => {
                let tag = format!("COPY {count}");
                backend::command_complete(&mut self.out, &tag);
                if let Some(running) = self.running.take() {
                    self.watched(running, count, false);
                }
                if let Asker::Portal(name) = asker {
                    self.portal_is_done(&name, tag);
                }
            }
            (Err(error), Asker::Script(start)) => {
                let text = self.script.take().map(Script::into_text);
                let text = text.unwrap_or_default();
                self.end_script(Some((&error.shifted(start), text.as_str())));
            }
            (Err(error), Asker::Portal(_)) => {
                if let Some(running) = self.running.take() {
                    self.watched(running, 0, true);
                }
                self.fail(&error, None);
            }
        }
    }
}
