import Replication
import TestSupport

extension PlantedBug {
    /// Each has cost somebody data, in this program while it was made or in others.
    public static let all = memory + wire + answers + feeds

    /// What the state file is to remember.
    private static let memory = [
        PlantedBug("an intent is not kept", trigger: "AFTER INSERT ON intent BEGIN DELETE FROM intent WHERE operation = 'create'; END"),
        PlantedBug(
            "the intent of points is not kept", trigger: "AFTER INSERT ON intent BEGIN DELETE FROM intent WHERE operation = 'metrics'; END",
            isOfAppendedPoints: true),
        PlantedBug(
            "which fields were written is not kept",
            trigger: "AFTER INSERT ON intent BEGIN DELETE FROM intent WHERE operation LIKE 'field:%'; END"),
        PlantedBug(
            "a base stays as it was first",
            trigger: "AFTER UPDATE OF base ON identity WHEN old.base IS NOT NULL BEGIN "
                + "UPDATE identity SET base = old.base WHERE kind = new.kind AND primary_id = new.primary_id; END"),
        PlantedBug(
            "a base is not kept",
            trigger: "AFTER UPDATE OF base ON identity WHEN new.base IS NOT NULL BEGIN "
                + "UPDATE identity SET base = NULL WHERE kind = new.kind AND primary_id = new.primary_id; END"),
        PlantedBug(
            "the cursor runs ahead of its changes",
            trigger: "AFTER UPDATE ON feed WHEN new.name = 'journal' AND new.cursor <> old.cursor BEGIN "
                + "UPDATE feed SET cursor = CAST(cursor AS INTEGER) + 1 WHERE name = 'journal'; END"),
        PlantedBug(
            "a change is dropped while its key waits",
            trigger: "BEFORE UPDATE OF latest ON change_log WHEN new.lsn = old.lsn BEGIN SELECT RAISE(IGNORE); END"),
        PlantedBug(
            "a key is finished with what came meanwhile",
            trigger: "AFTER UPDATE OF lsn ON change_log BEGIN DELETE FROM change_log WHERE lsn = new.lsn; END"),
        PlantedBug(
            "a key is finished when it is taken",
            trigger: "AFTER INSERT ON intent BEGIN "
                + "DELETE FROM change_log WHERE kind = new.kind AND id = new.id; END"),
        PlantedBug("grown series are not kept", trigger: "AFTER INSERT ON changed_series BEGIN DELETE FROM changed_series; END"),
        PlantedBug(
            "files are not queued", trigger: "BEFORE INSERT ON change_log WHEN new.kind = 'run_artifacts' BEGIN SELECT RAISE(IGNORE); END"),
        PlantedBug("files are not watched", trigger: "BEFORE INSERT ON file_watch BEGIN SELECT RAISE(IGNORE); END"),
        PlantedBug(
            "deletions of experiments are not queued",
            trigger: "BEFORE INSERT ON change_log WHEN new.kind = 'experiment_deletion' BEGIN SELECT RAISE(IGNORE); END"),
        PlantedBug(
            "every change is one of points",
            trigger: "AFTER UPDATE OF latest ON change_log BEGIN "
                + "UPDATE change_log SET whole_at = 0, record_at = 0 WHERE lsn = new.lsn AND kind = 'run'; END"),
    ]

    /// What is sent.
    private static let wire = [
        PlantedBug("what may be under way is not waited for", configure: { $0.mirror.landingTime = 0 }),
        PlantedBug("a creation is sent twice", there: { $0.name == "createRun" ? .twice : nil }),
        PlantedBug("a version is sent twice", there: { $0.name == "createVersion" ? .twice : nil }),
        PlantedBug("a batch is sent twice", there: { $0.name == "logBatch" ? .twice : nil }),
        PlantedBug("a batch that failed is taken for written", there: { $0.name == "logBatch" ? .swallowed : nil }),
        PlantedBug("a tag that could not be removed is taken for removed", there: { $0.name == "deleteRunTag" ? .swallowed : nil }),
        PlantedBug(
            "an overflow document is taken for written",
            there: { $0.name == "writeArtifact" && $0.target.hasSuffix("overflow.json") ? .swallowed : nil }),
        PlantedBug(
            "a logged model's document is taken for written",
            there: { $0.name == "writeArtifact" && $0.target.hasPrefix("mlmirror/models/") ? .swallowed : nil }),
        PlantedBug("a file is taken for written", there: { $0.name == "writeArtifact" ? .swallowed : nil }),
        PlantedBug("the end of a run is taken for written", there: { $0.name == "updateRun" ? .swallowed : nil }),
        PlantedBug("a deletion is taken for done", there: { $0.name == "deleteRun" ? .swallowed : nil }),
        PlantedBug("an alias is taken for moved", there: { $0.name == "setAlias" ? .swallowed : nil }),
    ]

    /// What is made of answers.
    private static let answers = [
        PlantedBug("a run in doubt is not looked for", there: { $0.name == "runs" ? .empty : nil }),
        PlantedBug("a logged model in doubt is not looked for", there: { $0.name == "loggedModelsTagged" ? .empty : nil }),
        PlantedBug("points in doubt are not looked for", there: { $0.name == "history" ? .empty : nil }),
        PlantedBug("versions that are there are not looked for", there: { $0.name == "versions" ? .empty : nil }),
        PlantedBug("a listing of runs ends after its first page", here: { $0.name == "runs" ? .firstPage : nil }),
        PlantedBug("a listing of versions ends after its first page", here: { $0.name == "versions" ? .firstPage : nil }),
        PlantedBug("a listing of files ends after its first page", here: { $0.name == "artifacts" ? .firstPage : nil }),
        PlantedBug("a run is read once and never again", here: { $0.name == "run" ? .stale : nil }),
        PlantedBug("a listing of files is read once and never again", here: { $0.name == "artifacts" ? .stale : nil }),
    ]

    /// What is made of changes.
    private static let feeds = [
        PlantedBug("a feed overlooks experiments", changes: { $0.filter { $0.key.kind != .experiment } }),
        PlantedBug("a feed overlooks registered models", changes: { $0.filter { $0.key.kind != .registeredModel } }),
        PlantedBug("a feed overlooks what became visible last", changes: { Array($0.dropLast()) }),
        PlantedBug(
            "a feed takes every change for one of points",
            changes: { $0.map { $0.key.kind == .run ? Change($0.key, .points, series: $0.series) : $0 } }),
        PlantedBug("a feed names no series", changes: { $0.map { Change($0.key, $0.extent) } }),
    ]
}
