public import Replication

extension Dialect {
    /// A workspace of Databricks, read. Its limits as "Resource limits" and the REST reference have them; what neither says is assumed as
    /// MLflow's own server has it.
    public static let databricks: Dialect = {
        var dialect = Dialect.mlflow
        // One was seen that refuses more than ten (mlflow/mlflow issue 13590).
        dialect.experimentsPerSearch = 10
        dialect.mayNotOrderExperiments = true
        // No such calls.
        dialect.bulkHistoryRuns = 0
        dialect.readsHistoryFromPlace = false
        // The registry of a workspace; it may be switched off, and has versions before their files are there.
        dialect.hasAliases = false
        dialect.mayLackRegistry = true
        dialect.registersLater = true
        return dialect
    }()

    /// The same with the registry of Unity Catalog.
    static let databricksUnityCatalog: Dialect = {
        var dialect = Dialect.databricks
        dialect.hasAliases = true
        return dialect
    }()
}
