public import Replication

extension Dialect {
    /// An Azure ML workspace. Its limits as Microsoft documents them ("Manage and increase quotas and limits for resources": run history),
    /// the params' as its errors name them; what its MLflow endpoint lacks is in "Track experiments and models with MLflow".
    public static let azureML: Dialect = {
        var dialect = Dialect.mlflow
        dialect.batchMetrics = 250
        dialect.paramValueLength = 500
        dialect.runTagValueLength = 1000
        dialect.experimentTagValueLength = 1000
        dialect.experimentTags = 50
        dialect.registryTagValueLength = 1000
        dialect.runLimits = RunLimits(
            tags: 50, tagKeyLength: 100, tagValueLength: 1000, params: 200, paramKeyLength: 250, paramValueLength: 500, metricNames: 50,
            metricNameLength: 255, datasets: 200, nameLength: 256)
        // Rows of a table of its own, each with an id: what is sent twice is there twice.
        dialect.metricsAreIdempotent = false
        dialect.historyPage = 999
        dialect.bulkHistoryRuns = 0
        dialect.readsHistoryFromPlace = false
        dialect.hasLoggedModels = false
        dialect.hasAliases = false
        // The run history service's own rule; the MLflow endpoint takes a slash, and never finds it again.
        dialect.experimentNames = NameRule(punctuation: "-_", length: 256)
        dialect.modelNames = NameRule(punctuation: "-._", length: 255)
        dialect.renamesExperiments = false
        // No official client asks for an order.
        dialect.mayNotOrderExperiments = true
        dialect.renamesModels = false
        dialect.deletesExperimentTags = false
        dialect.registersOwnFilesOnly = true
        dialect.fetchesFiles = true
        return dialect
    }()
}
