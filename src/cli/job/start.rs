//! Starts MPI if a launcher has started several processes.

use super::{Failure, Job};
use crate::cli::launcher::Launched;
#[cfg(feature = "mpi")]
use {
    crate::cli::output,
    std::panic::{self, PanicHookInfo},
    unrolled::mpi::World,
};

/// The job of this process. MPI ends when it is dropped.
pub struct Started {
    /// The job.
    pub job: Job,
    #[cfg(feature = "mpi")]
    _world: Option<World>,
}

#[cfg(not(feature = "mpi"))]
impl Started {
    /// Returns an error if there are several processes, because this build has no MPI.
    pub fn new(launched: Option<&Launched>) -> Result<Self, Failure> {
        let Some(Launched { variable, count, .. }) = launched else { return Ok(Self { job: Job::of(None) }) };
        Err(Failure::Usage(format!(
            "found {variable} = {count}, so this is one of {count} processes, and this program was built without MPI; build it \
             with `cargo build --release --features mpi`, or start one process"
        )))
    }
}

#[cfg(feature = "mpi")]
impl Started {
    /// Starts MPI if there are several processes.
    pub fn new(launched: Option<&Launched>) -> Result<Self, Failure> {
        let world = launched.map(start).transpose()?;
        let job = Job::of(world.as_ref().map(World::ranks));
        Ok(Self { job, _world: world })
    }
}

#[cfg(feature = "mpi")]
fn start(launched: &Launched) -> Result<World, Failure> {
    let (world, Launched { variable, count, .. }) = (World::start()?, launched);
    if world.count() != *count {
        return Err(Failure::Usage(format!(
            "found {variable} = {count}, but {} finds {} of {count} processes; use the launcher of that library (for srun: \
             --mpi=pmix or --mpi=pmi2)",
            World::library(),
            world.count()
        )));
    }
    if world.rank() > 0 {
        output::be_silent();
    }
    panic::set_hook(Box::new(abandon));
    Ok(world)
}

/// Prints the panic of a process, and ends the job: the others would wait for this process.
#[cfg(feature = "mpi")]
fn abandon(panic: &PanicHookInfo) {
    let rank = Launched::find().map_or(0, |launched| launched.rank);
    output::alarm(&format!("error: rank {rank}: {}", panic.to_string().replace('\n', " ")));
    World::abort(101)
}
