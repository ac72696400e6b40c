import Replication

/// A table of MLflow whose changes are captured, and what a change of a row means.
struct CapturedTable: Sendable {
    var name: String
    /// Columns that the captures use.
    var columns: [String]
    /// Some version of MLflow does not have it.
    var isOptional = true
    private var capture: @Sendable (TriggerPlan.Operation) -> [Capture]

    func captures(_ operation: TriggerPlan.Operation) -> [Capture] { capture(operation) }

    private init(
        _ name: String, _ columns: [String], isOptional: Bool = true, _ capture: @escaping @Sendable (TriggerPlan.Operation) -> [Capture]
    ) {
        self.name = name
        self.columns = columns
        self.isOptional = isOptional
        self.capture = capture
    }

    /// `latest_metrics` follows from `metrics`, and a dataset is only seen through inputs.
    static let all: [CapturedTable] =
        [
            CapturedTable("experiments", ["experiment_id"], isOptional: false) { [Capture(.experiment, $0.row + ".experiment_id")] },
            CapturedTable("experiment_tags", ["experiment_id"], isOptional: false) { [Capture(.experiment, $0.row + ".experiment_id")] },
            CapturedTable("runs", ["run_uuid"], isOptional: false) {
                [Capture(.run, $0.row + ".run_uuid", $0 == .update ? .record : .whole)]
            },
            CapturedTable("tags", ["run_uuid", "key"], isOptional: false) {
                [
                    Capture(.run, $0.row + ".run_uuid", .record),
                    // Written when a model's files have been put into a run.
                    Capture(.runArtifacts, $0.row + ".run_uuid", if: $0.row + ".key = 'mlflow.log-model.history'"),
                ]
            },
            CapturedTable("params", ["run_uuid"], isOptional: false) { [Capture(.run, $0.row + ".run_uuid", .record)] },
            CapturedTable("metrics", ["run_uuid", "key", "timestamp", "step", "value", "is_nan"], isOptional: false) { operation in
                guard operation == .insert else { return [Capture(.run, operation.row + ".run_uuid")] }
                var capture = Capture(.run, "NEW.run_uuid", .points)
                (capture.metric, capture.since) = ("NEW.key", "NEW.timestamp")
                return [capture]
            },
            CapturedTable("inputs", ["source_type", "source_id", "destination_type", "destination_id", "input_uuid"]) { operation in
                (operation == .update ? ["OLD", "NEW"] : [operation.row]).flatMap(inputs)
            },
            CapturedTable("input_tags", ["input_uuid"]) {
                var capture = Capture(.run, $0.row + ".input_uuid", .record)
                capture.kind = TriggerPlan.inputKind
                return [capture]
            },
            CapturedTable("logged_model_metrics", ["model_id"]) { [Capture(.loggedModel, $0.row + ".model_id")] },
        ] + ["logged_models", "logged_model_tags", "logged_model_params"].map(loggedModel)
        + ["registered_models", "registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags"].map(registry)

    private static func inputs(_ row: String) -> [Capture] {
        [
            Capture(.run, "\(row).destination_id", .record, if: "\(row).destination_type = 'RUN'"),
            Capture(
                .run, "\(row).source_id", .record,
                if: "\(row).destination_type IS NOT 'RUN' AND \(row).source_type IN ('RUN_INPUT', 'RUN_OUTPUT')"),
        ]
    }

    private static func loggedModel(_ name: String) -> CapturedTable {
        CapturedTable(name, ["model_id"]) {
            [Capture(.loggedModel, $0.row + ".model_id"), Capture(.loggedModelArtifacts, $0.row + ".model_id")]
        }
    }

    /// A change of the name is one of both.
    private static func registry(_ name: String) -> CapturedTable {
        CapturedTable(name, ["name"]) { operation in
            let renamed = Capture(.registeredModel, "OLD.name", if: "OLD.name IS NOT NEW.name")
            return (operation == .update ? [renamed] : []) + [Capture(.registeredModel, operation.row + ".name")]
        }
    }
}

extension TriggerPlan.Operation {
    /// Where the row's present values are.
    var row: String { self == .delete ? "OLD" : "NEW" }
}
