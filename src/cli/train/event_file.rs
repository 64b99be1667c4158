//! Event files for TensorBoard.

mod messages;

use super::super::{
    failure::Failure,
    run_folder::{AppendedFile, CurvePoint, SampleRecord, now},
    settings_table::table_of,
};
use messages::{EventProto, SESSION_START, SessionLogProto, append_record, event, scalar, text};
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{Settings, train::Record};

/// Prefix of event files, which TensorBoard looks for, and the suffix of those of this program.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".unrolled";

/// The records of a run that go into an event file.
pub struct EventSource<'a> {
    /// The training curve.
    pub steps: &'a [CurvePoint],
    /// The evaluations.
    pub history: &'a [Record],
    /// The samples.
    pub samples: &'a [SampleRecord],
    /// The settings.
    pub settings: &'a Settings,
}

/// The event file of a run. Each process writes its own file, which starts with all earlier records
/// and replaces the files of earlier processes: so a resumed run has neither gaps nor duplicates.
pub struct EventFile {
    file: AppendedFile,
    folder: PathBuf,
    /// Numbers of steps, evaluations and samples in the file.
    written: [usize; 3],
}

impl EventFile {
    /// Creates a writer for this folder; writes nothing yet.
    pub fn new(folder: &Path) -> Self {
        Self { file: AppendedFile::at(new_path(folder)), folder: folder.to_owned(), written: [0; 3] }
    }

    /// Writes the records that the file in `folder` lacks.
    pub fn write(&mut self, folder: &Path, source: &EventSource) -> Result<(), Failure> {
        if self.folder != folder {
            self.folder = folder.to_owned();
            self.file.move_to(folder);
        }
        let all = [source.steps.len(), source.history.len(), source.samples.len()];
        if self.file.is_intact() && all == self.written {
            return Ok(());
        }
        if !self.file.is_intact() {
            // Under a new name: in a file that it knows, TensorBoard continues where it stopped
            // reading.
            self.file = AppendedFile::at(new_path(&self.folder));
            self.file.replace(&whole_file(source))?;
            self.empty_earlier();
        } else {
            let mut bytes = Vec::new();
            source.append_after(self.written, &mut bytes);
            self.file.append(&bytes)?;
        }
        self.written = all;
        Ok(())
    }

    /// Empties the earlier event files of this run, whose records this file has too. The files
    /// stay: TensorBoard's loader does not move on from a deleted file to the next.
    fn empty_earlier(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let earlier = entries
            .filter(|entry| entry.path() != self.file.path() && entry.file_name().to_str().is_some_and(ours));
        // A file that cannot be emptied takes some space and does no other harm: the first event of
        // this file revokes it.
        earlier.for_each(|entry| _ = fs::File::create(entry.path()));
    }
}

/// Returns the path of a new file. TensorBoard reads the last file of a folder in alphabetical
/// order, so the name has ten digits of the time and nine of its fraction.
fn new_path(folder: &Path) -> PathBuf {
    let (time, id) = (now(), std::process::id());
    folder.join(format!("{PREFIX}{:010}.{:09}.{id}{SUFFIX}", time as u64, (time.fract() * 1e9) as u64))
}

/// Returns a whole file: the version, the start of a session (TensorBoard then drops what it has
/// read of an earlier file), the settings, and all records.
fn whole_file(source: &EventSource) -> Vec<u8> {
    let time = source.steps.first().map_or_else(now, |step| step.time);
    let mut bytes = Vec::new();
    append_record(
        &EventProto { wall_time: time, file_version: Some("brain.Event:2".into()), ..EventProto::default() },
        &mut bytes,
    );
    let start = SessionLogProto { status: SESSION_START };
    append_record(
        &EventProto { wall_time: time, session_log: Some(start), ..EventProto::default() },
        &mut bytes,
    );
    let settings = table_of(source.settings).map(|table| table.to_string()).unwrap_or_default();
    append_record(&event(0, time, vec![text("settings", &indented(&settings))]), &mut bytes);
    source.append_after([0; 3], &mut bytes);
    bytes
}

impl EventSource<'_> {
    /// Appends the records after the first `steps`, `history` and `samples`, in the order of their
    /// steps within each kind.
    fn append_after(&self, [steps, history, samples]: [usize; 3], bytes: &mut Vec<u8>) {
        for CurvePoint { logged, time } in &self.steps[steps..] {
            let values = vec![
                scalar("loss/training", logged.loss),
                scalar("gradient norm", logged.gradient_norm),
                scalar("learning rate", logged.learning_rate),
                scalar("symbols per second", logged.chars_per_second),
            ];
            append_record(&event(logged.step, *time, values), bytes);
        }
        for record in &self.history[history..] {
            let loss = record.val_loss.map(|loss| scalar("loss/validation", loss));
            let accuracy = record.val_accuracy.map(|share| scalar("accuracy/validation", share));
            let values: Vec<_> = loss.into_iter().chain(accuracy).collect();
            append_record(&event(record.step, self.time_of(record.step), values), bytes);
        }
        for sample in &self.samples[samples..] {
            let values = vec![text("sample", &indented(&sample.text))];
            append_record(&event(sample.step, self.time_of(sample.step), values), bytes);
        }
    }

    /// Returns the time of a step: the time of the last point before it.
    fn time_of(&self, step: u64) -> f64 {
        let after = self.steps.partition_point(|known| known.logged.step <= step);
        self.steps.get(after.saturating_sub(1)).map_or_else(now, |known| known.time)
    }
}

/// Returns the text as a block of Markdown code, which TensorBoard shows unchanged.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{messages::masked_checksum, *};
    use prost::Message;
    use unrolled::train::Logged;

    /// Returns the messages of a file and checks their framing.
    fn events(bytes: &[u8]) -> Vec<EventProto> {
        let (mut rest, mut found) = (bytes, Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes")) as usize;
            assert_eq!(rest[8..12], masked_checksum(&rest[..8]).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_checksum(data).to_le_bytes());
            found.push(EventProto::decode(data).expect("a message"));
            rest = &rest[16 + length..];
        }
        found
    }

    fn step(step: u64) -> CurvePoint {
        let logged = Logged {
            step,
            chars: 10 * step,
            seconds: 1.0,
            loss: 2.5,
            gradient_norm: 1.0,
            learning_rate: 0.1,
            chars_per_second: 1e5,
        };
        CurvePoint { logged, time: 1000.0 + step as f64 }
    }

    fn record(step: u64) -> Record {
        Record {
            step,
            chars: 10 * step,
            seconds: 1.0,
            train_loss: 2.5,
            val_loss: Some(2.25),
            val_accuracy: Some(0.5),
            learning_rate: 0.1,
            chars_per_second: 1e5,
        }
    }

    #[test]
    fn a_file_grows_and_is_replaced_if_something_changed_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        fs::write(home.path().join("events.out.tfevents.0.unrolled"), "of an earlier process")
            .expect("written");
        fs::write(home.path().join("events.out.tfevents.0.other"), "another program's.").expect("written");
        let (steps, history) = ([step(1), step(2), step(3)], [record(2)]);
        let samples = [SampleRecord { step: 2, text: "to be\nor".into() }];
        let settings = Settings::default();
        let source = |count: usize| EventSource {
            steps: &steps[..count],
            history: &history[..count / 2],
            samples: &samples[..count / 2],
            settings: &settings,
        };
        let mut file = EventFile::new(home.path());
        for count in 0..3 {
            file.write(home.path(), &source(count)).expect("written");
        }
        let path = file.file.path().to_owned();
        let read = || events(&fs::read(&path).expect("readable"));
        let steps_of = |found: &[EventProto]| found.iter().map(|event| event.step).collect::<Vec<_>>();
        assert_eq!(steps_of(&read()), [0, 0, 0, 1, 2, 2, 2]);
        let found = read();
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        let value =
            |event: usize, value: usize| found[event].summary.as_ref().expect("values").value[value].clone();
        assert_eq!((value(3, 0).tag.as_str(), value(3, 0).simple_value), ("loss/training", Some(2.5)));
        assert_eq!((value(5, 0).tag.as_str(), value(5, 0).simple_value), ("loss/validation", Some(2.25)));
        assert_eq!(value(6, 0).tensor.expect("a text").string_val[0], b"    to be\n    or\n");
        assert_eq!(found[5].wall_time, 1002.0, "of the step before it");
        // Half a record, as a full disk would leave it.
        fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(99)).expect("cut");
        file.write(home.path(), &source(3)).expect("written");
        let new = file.file.path().to_owned();
        assert!(new > path, "a name that TensorBoard moves on to: {new:?} after {path:?}");
        assert_eq!(steps_of(&events(&fs::read(&new).expect("readable"))), [0, 0, 0, 1, 2, 3, 2, 2]);
        let length = |path: &Path| fs::metadata(path).expect("kept").len();
        assert_eq!((length(&path), length(&home.path().join("events.out.tfevents.0.unrolled"))), (0, 0));
        assert_eq!(length(&home.path().join("events.out.tfevents.0.other")), 18, "another program's");
    }
}
