/// One platform's limits and habits, in one table.
public struct Dialect: Sendable, Hashable {
    /// Metric points, params, tags and their sum in one log-batch, and its body in bytes.
    public var batchMetrics = 1000
    public var batchParams = 100
    public var batchTags = 100
    public var batchItems = 1000
    public var batchBytes = 1_000_000
    /// Longest values, in Unicode code points, as Python counts: longer ones are cut silently by an MLflow server, so they are never sent.
    public var paramValueLength = 6000
    public var runTagValueLength = 8000
    public var experimentTagValueLength = 20000
    /// Most tags of one experiment.
    public var experimentTags = Int.max
    /// Of registered models and versions (`MAX_REGISTERED_MODEL_TAG_VALUE_LENGTH`).
    public var registryTagValueLength = 100_000
    /// Most experiments that one search for runs or logged models may name.
    public var experimentsPerSearch = 200
    /// Whether the list of experiments may have to be taken in the store's own order.
    public var mayNotOrderExperiments = false
    /// What one run may hold where that is less than on MLflow's own server: the rest goes into a document among its files (`Overflow`).
    public var runLimits: RunLimits?
    /// Sending a metric point again leaves one point.
    public var metricsAreIdempotent = true
    /// Most points in one answer of a history that comes in pages.
    public var historyPage = 25000
    /// Most runs a bulk history answers for; 0: no such call.
    public var bulkHistoryRuns = 100
    /// Most points a bulk history answers with.
    public var bulkHistoryPoints = 25000
    /// Without them, a model's files go into a folder of its run, and all else into a document there (`ModelFolder`).
    public var hasLoggedModels = true
    /// Without them, an alias is a tag of its version.
    public var hasAliases = true
    /// Whether there may be no registry at all.
    public var mayLackRegistry = false
    /// Whether a version shows before its files are there: it, and those after it, are left for later.
    public var registersLater = false
    /// Which names it takes; nil: every one. What it does not take is written otherwise, and kept whole in a tag.
    public var experimentNames: NameRule?
    public var modelNames: NameRule?
    public var renamesExperiments = true
    /// Whether registered models can be renamed, and deleted.
    public var renamesModels = true
    /// Where they cannot be deleted, they are emptied.
    public var deletesExperimentTags = true
    /// Whether a version is made of its own store's files alone, by their address: no `runs:/`, no `models:/`, no other storage.
    public var registersOwnFilesOnly = false
    /// Whether a listing of runs shows their model inputs. An MLflow server's does not (3.17, `_search_runs`): each run is then asked for.
    public var listsModelInputs = false
    /// Whether a part of a history can be asked for: what follows a place in its order, or what has a timestamp from one on.
    public var readsHistoryFromPlace = true
    public var readsHistorySince = false
    /// Whether all histories of a run can be read at once, cheaply.
    public var readsWholeRuns = false
    /// Whether its storage can fetch files from other storage by itself.
    public var fetchesFiles = false
    public init() {}
    /// An MLflow server; limits from its `utils/validation.py`.
    public static let mlflow = Dialect()
}
