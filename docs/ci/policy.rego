# Rules of your own over a plan, for conftest or OPA:
#
#     tunedmodels plan --policy-format json > policy.json
#     conftest test policy.json --policy docs/ci
#
# The shape: tunedmodels schema policy. A plan alone (plan --format json, or a file of plan --out) is
# read as well; then the rules about models have nothing to say. What the Project manifest can say
# by itself (spec.policy: base models, providers, names, required labels, budgets, protected names,
# days without applies) needs no Rego.
package main

import rego.v1

plan := object.get(input, "plan", input)

models := object.get(input, "models", [])

# What customers rely on is measured before it serves.
deny contains message if {
	some model in models
	model.labels.tier == "gold"
	not model.hasGate
	message := sprintf("%s: a model of tier gold needs a gate, spec.evaluation.atLeast", [model.name])
}

# A version that answers for its name goes only with another one in its place.
deny contains message if {
	some change in plan.changes
	change.action == "delete"
	change.before.serves
	message := sprintf("%s: %s serves now; deleting it leaves nothing", [change.name, change.before.modelId])
}

# Nobody trains on fewer than 20 examples.
deny contains message if {
	some change in plan.changes
	change.action in {"create", "replace", "retry"}
	change.after.examples < 20
	message := sprintf("%s: only %d examples", [change.name, change.after.examples])
}

# At most three trainings in one pull request.
deny contains message if {
	trained := [change.name | some change in plan.changes; change.action in {"create", "replace", "retry"}]
	count(trained) > 3
	message := sprintf("%d models would be trained at once: %s", [count(trained), concat(", ", trained)])
}

# What was changed outside deserves a word in the pull request.
warn contains message if {
	some change in plan.changes
	change.drift
	message := sprintf("%s: %s", [change.name, change.reason])
}
