import Replication

extension StoreConformance {
    static let modelCases = [
        Case(name: "logged model: made, read back, changed") { store in
            guard store.dialect.hasLoggedModels else { return try await loggedModelsAreUnsupported(store) }
            let parent = try await experiment(store)
            let source = try await run(store, in: parent).id
            let made = try await store.createLoggedModel(
                NewLoggedModel(
                    experiment: parent, name: "model", modelType: "Agent", sourceRun: source, params: [Param("a", "ü\n"), Param("b", "2")],
                    tags: [Tag("x", "y"), Tag("mlmirror.source", "it's")]))
            let found = try unwrap(try await store.loggedModel(made.id))
            try equal(found.experiment, parent)
            try equal(found.name, "model")
            try equal(found.modelType, "Agent")
            try equal(found.sourceRun, source)
            try equal(found.status, .pending)
            try equal(sorted(found.params), [Param("a", "ü\n"), Param("b", "2")])
            try equal(sorted(found.tags), [Tag("mlmirror.source", "it's"), Tag("x", "y")])

            try await store.logParams([Param("c", "3")], toLoggedModel: made.id)
            try await refuses(.alreadyExists) { try await store.logParams([Param("c", "3")], toLoggedModel: made.id) }
            try await store.setTags([Tag("x", "z"), Tag("n", "")], ofLoggedModel: made.id)
            try await store.deleteTag("mlmirror.source", ofLoggedModel: made.id)
            try await refuses(.notFound) { try await store.deleteTag("mlmirror.source", ofLoggedModel: made.id) }
            try await store.setStatus(.ready, ofLoggedModel: made.id)
            let changed = try unwrap(try await store.loggedModel(made.id))
            try equal(sorted(changed.params), [Param("a", "ü\n"), Param("b", "2"), Param("c", "3")])
            try equal(sorted(changed.tags), [Tag("n", ""), Tag("x", "z")])
            try equal(changed.status, .ready)
        },
        Case(name: "logged model: listed, searched by tag, deleted") { store in
            guard store.dialect.hasLoggedModels else { return try await loggedModelsAreUnsupported(store) }
            let parent = try await experiment(store)
            var ids: [LoggedModelID] = []
            for text in ["one", "two", "it's", "say \"x\""] {
                let model = NewLoggedModel(
                    experiment: parent, name: "m", modelType: nil, sourceRun: nil, params: [], tags: [Tag("mlmirror.source", text)])
                ids.append(try await store.createLoggedModel(model).id)
            }
            try equal(Set(try await all { try await store.loggedModels(in: [parent], $0) }.map(\.id)), Set(ids))
            for (index, text) in ["one", "two", "it's", "say \"x\""].enumerated() {
                try equal(
                    try await store.loggedModels(in: [parent], tagged: Tag("mlmirror.source", text)).map(\.id), [ids[index]], text)
            }
            let newest = try await store.newestLoggedModels(in: [parent])
            // As many as a page holds.
            try equal(newest.isEmpty, false)
            try equal(Set(newest.map(\.id)).subtracting(ids), [])
            let times = newest.map { $0.creationTime ?? 0 }
            try equal(times, times.sorted(by: >), "newest first")
            try await store.deleteLoggedModel(ids[0])
            try equal(try await store.loggedModel(ids[0]), nil)
            try equal(Set(try await all { try await store.loggedModels(in: [parent], $0) }.map(\.id)), Set(ids.dropFirst()))
            try equal(try await store.loggedModel(LoggedModelID("m-" + String(repeating: "0", count: 32))), nil)
            try equal(try await store.loggedModels(in: [], nil).elements, [])
        },
        Case(name: "logged model: metrics, also of points that the run has already") { store in
            guard store.dialect.hasLoggedModels else { return try await loggedModelsAreUnsupported(store) }
            let parent = try await experiment(store)
            let id = try await run(store, in: parent).id
            let model = try await store.createLoggedModel(
                NewLoggedModel(experiment: parent, name: "m", modelType: nil, sourceRun: id, params: [], tags: []))
            try await store.logBatch(RunBatch(metrics: [row("acc", 0.5, 10, 1)]), toRun: id)
            var metrics: [ModelMetric] = []
            for index in 0..<250 {
                let point = MetricPoint(value: index == 0 ? 0.5 : Double(index), timestamp: 10, step: Int64(index + 1))
                let hasDataset = index % 2 == 0
                metrics.append(
                    ModelMetric(
                        key: "acc", point: point, run: id, datasetName: hasDataset ? "data" : nil,
                        datasetDigest: hasDataset ? "digest" : nil))
            }
            try await store.logMetrics(metrics, ofLoggedModel: model.id, toRun: id)
            try await store.logMetrics(metrics, ofLoggedModel: model.id, toRun: id)
            let found = try unwrap(try await store.loggedModel(model.id)).metrics
            try equal(found.sorted { $0.point.step < $1.point.step }, metrics)
            try equal(try await history(store, id, "acc").count, 250)
        },
    ]

    // MARK: - Registry

    static let registryCases = [
        Case(name: "registered model: made, changed, renamed, deleted") { store in
            let odd = fresh("model ü 'x'")
            let name = ModelName(store.dialect.modelNames?.fitting(odd) ?? odd)
            try await store.createRegisteredModel(name, description: "text\n", tags: [Tag("a", "b"), Tag("c", "")])
            let made = try unwrap(try await store.registeredModel(name))
            try equal(made.description, "text\n")
            try equal(sorted(made.tags), [Tag("a", "b"), Tag("c", "")])
            try equal(made.aliases, [:])
            try await refuses(.alreadyExists) { try await store.createRegisteredModel(name, description: "", tags: []) }
            try await store.setDescription("other", ofRegisteredModel: name)
            try await store.setTag(Tag("a", "ü"), ofRegisteredModel: name)
            try await store.deleteTag("c", ofRegisteredModel: name)
            let changed = try unwrap(try await store.registeredModel(name))
            try equal(changed.description, "other")
            try equal(changed.tags, [Tag("a", "ü")])
            try require(try await all { try await store.registeredModels($0) }.contains { $0.name == name }, "not listed")

            let files = try await files(store, "s3://bucket/a")
            let number = try await store.createVersion(NewVersion(model: name, source: files.source, run: files.run))
            guard store.dialect.renamesModels else {
                try await refuses(.unsupported) { try await store.renameRegisteredModel(name, to: ModelName(fresh("renamed"))) }
                return try await refuses(.unsupported) { try await store.deleteRegisteredModel(name) }
            }
            let renamed = ModelName(fresh("renamed"))
            try await store.renameRegisteredModel(name, to: renamed)
            try equal(try await store.registeredModel(name), nil)
            try equal(try await store.version(of: renamed, number)?.model, renamed)
            let other = ModelName(fresh("other"))
            try await store.createRegisteredModel(other, description: "", tags: [])
            try await refuses(.alreadyExists) { try await store.renameRegisteredModel(other, to: renamed) }
            try await store.deleteRegisteredModel(renamed)
            try equal(try await store.registeredModel(renamed), nil)
            try equal(try await store.version(of: renamed, number), nil)
            try await refuses(.notFound) { try await store.deleteRegisteredModel(renamed) }
        },
        Case(name: "version: numbers are not used again") { store in
            let name = ModelName(fresh("model"))
            let (files, run) = try await files(store, "s3://bucket/a")
            try await refuses(.notFound) { _ = try await store.createVersion(NewVersion(model: name, source: files, run: run)) }
            try await store.createRegisteredModel(name, description: "", tags: [])
            for expected in 1...4 {
                try equal(try await store.createVersion(NewVersion(model: name, source: files, run: run)), expected)
            }
            try await store.deleteVersion(4, of: name)
            try await store.deleteVersion(2, of: name)
            try equal(try await store.version(of: name, 4), nil)
            try await refuses(.notFound) { try await store.deleteVersion(4, of: name) }
            try equal(try await store.createVersion(NewVersion(model: name, source: files, run: run)), 5)
            try equal(try await all { try await store.versions(of: name, $0) }.map(\.number), [1, 3, 5])
        },
        Case(name: "version: fields, tags, stage, aliases") { store in
            let parent = try await experiment(store)
            let source = try await run(store, in: parent)
            try await write(store, "model/MLmodel", Array("flavors: {}".utf8), owner(source))
            let other = try await files(store, "s3://bucket/x")
            let name = ModelName(fresh("model"))
            try await store.createRegisteredModel(name, description: "", tags: [])
            let new = NewVersion(
                model: name, source: "\(source.artifactURI)/model", run: source.id, runLink: "https://example.org/run",
                description: "d ü", tags: [Tag("k", "v")])
            let number = try await store.createVersion(new)
            let second = try await store.createVersion(NewVersion(model: name, source: other.source, run: other.run))
            let made = try unwrap(try await store.version(of: name, number))
            try equal(made.source, new.source)
            try equal(made.run, source.id)
            try equal(made.runLink, "https://example.org/run")
            try equal(made.description, "d ü")
            try equal(made.stage, "None")
            try equal(made.tags, [Tag("k", "v")])

            try await store.setDescription("", ofVersion: number, of: name)
            try await store.setTag(Tag("t", "1"), ofVersion: number, of: name)
            try await store.deleteTag("k", ofVersion: number, of: name)
            try await store.setStage("Production", ofVersion: number, of: name)
            try await store.setStage("Production", ofVersion: second, of: name)
            let changed = try unwrap(try await store.version(of: name, number))
            try equal(changed.description, "")
            try equal(changed.tags, [Tag("t", "1")])
            try equal(changed.stage, "Production")

            guard store.dialect.hasAliases else {
                return try await refuses(.unsupported) { try await store.setAlias("champion", to: number, ofRegisteredModel: name) }
            }
            try await store.setAlias("champion", to: number, ofRegisteredModel: name)
            try await store.setAlias("other", to: number, ofRegisteredModel: name)
            try await store.setAlias("champion", to: second, ofRegisteredModel: name)
            try equal(try await store.registeredModel(name)?.aliases, ["champion": second, "other": number])
            try await store.deleteAlias("other", ofRegisteredModel: name)
            try equal(try await store.registeredModel(name)?.aliases, ["champion": second])
            try await store.deleteVersion(second, of: name)
            try equal(try await store.registeredModel(name)?.aliases, [:])
            try await refuses(.notFound) { try await store.setAlias("champion", to: second, ofRegisteredModel: name) }
        },
        Case(name: "version: names with quotes") { store in
            for text in ["it's", "say \"x\"", "both ' and \"", "back\\slash"] {
                let odd = fresh(text)
                let name = ModelName(store.dialect.modelNames?.fitting(odd) ?? odd)
                let files = try await files(store, "s3://bucket/a")
                try await store.createRegisteredModel(name, description: "", tags: [])
                for _ in 0..<3 { _ = try await store.createVersion(NewVersion(model: name, source: files.source, run: files.run)) }
                try await store.deleteVersion(2, of: name)
                try equal(try await all { try await store.versions(of: name, $0) }.map(\.number), [1, 3], text)
            }
        },
        Case(name: "version: of a logged model") { store in
            guard store.dialect.hasLoggedModels else { return try await loggedModelsAreUnsupported(store) }
            let parent = try await experiment(store)
            let source = try await run(store, in: parent).id
            let model = try await store.createLoggedModel(
                NewLoggedModel(experiment: parent, name: "m", modelType: nil, sourceRun: source, params: [], tags: []))
            let name = ModelName(fresh("model"))
            try await store.createRegisteredModel(name, description: "", tags: [])
            _ = try await store.createVersion(
                NewVersion(model: name, source: model.artifactURI, run: source, loggedModel: model.id))
            let made = try unwrap(try await store.version(of: name, 1))
            try equal(made.run, source)
            try equal(made.source, model.artifactURI)
        },
    ]
}
