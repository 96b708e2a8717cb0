"""Why each check is made, what words mean, and what the report cannot say."""

CHECKS = {
    "E1": "An attack of radius 0 must change nothing, or the clean numbers are not those of the attacked network.",
    "E2": "An adversarial image outside the ball, the pixel range or the mask was found by cheating.",
    "E3": "Stored adversarial images, read again, must get the verdict that was counted.",
    "E4": "An image broken at a small radius stays broken at a larger one; else the search failed.",
    "E5": "An attacker without limit must win. What stands where only kept pixels are free is read off the outline.",
    "E6": "Twice the steps must not break noticeably more images; else the attack had not finished.",
    "E7": "More restarts must not break noticeably more images.",
    "E8": "Many steps must do no worse than one; the opposite is a sign of masked gradients.",
    "E9": "An attack without gradients must not beat one with them; the opposite is a sign of masked gradients.",
    "E10": "Random corners of the ball must not break what the gradient attack missed.",
    "E11": "Gradients that are zero on every kept pixel lead an attack nowhere.",
    "E12": "The gradient must agree with finite differences, or the attack climbs another function.",
    "E13": "The attack needs logits; probabilities round to 0 and 1 and hide the gradient.",
    "E14": "Saturated outputs stop the cross-entropy loss; rescaled logits must give the same accuracy.",
    "E15": "A network that answers by chance must be declared random and attacked on average.",
    "E16": "For random networks, more draws a step must not change the result.",
    "E17": "A network that computes gradients while it predicts needs an adaptive attack.",
    "E18": "A loss that jumps within small steps misleads gradient attacks.",
    "E19": "No margin may contradict its verdict, and no image that is wrong as it is may be given back right.",
    "E20": "Adversarial images of other networks must not break what the direct attack missed.",
    "E21": "A planted adversarial example must be found, or absence of success proves nothing.",
    "E22": "On a linear model the attack must reach the known optimum.",
    "E23": "On a public model the attack must give the known accuracy.",
    "E24": "Some losses need more classes than the data set has.",
    "E25": "With a fixed mask and a fill that reads no pixel, a change of dropped pixels must not reach the logits.",
    "E26": "A stand-in used for gradients must predict what the true network predicts.",
    "E27": "If the mask never moves under attack, the attack did not try to move it.",
    "E28": "The ensemble that the literature reports must not break images that this ladder leaves standing.",
    "E29": "Adversarial images of the study's other runs must not break what the direct attack missed.",
    "E30": "Adaptive attacks must find an example that is known to be there, and that only another mask lets through.",
    "E31": "Behind a defense, an example that is known to be there must be found.",
    "E32": "Where other images of a batch have a say, an image must be attacked and judged among others.",
    "E33": "Where weights are drawn, an attack on a single network says nothing of their mean.",
}
GLOSSARY = {
    "strategy": "which pixels a network is shown: a map that ranks them, a share to keep (or the map's own region), "
    "and a fill for the others",
    "training": "how the weights were learned; adversarial training attacks the kept pixels of its own strategy",
    "clean accuracy": "share of all test images that are classified right without an attack",
    "robust accuracy": "share of the attacked images that are right without an attack and under every attack of the "
    "list, up to the stated radius; the worst case is taken image by image",
    "access": "where the attacker may write: full (everywhere, full model), budget (the image's mask moved elsewhere, "
    "full model), location (the mask's pixels, full model), kept (the mask's pixels, pruned model, mask frozen), "
    "adaptive (everywhere, pruned model, the mask computed anew from what is written)",
    "budget, location": "what fewer writable pixels give, and what their place gives, with the full model",
    "feature = clean + hardening": "what the pruned network does better on the same pixels: the part that is there "
    "without an attack, and the rest",
    "both right": "the feature term on the images that both networks classify right. An image that is wrong anyway "
    "cannot be broken: where few images stand, hardening mirrors the clean difference, and this does not",
    "mask": "adaptive − kept on the same images: what the attacker gains by moving the mask; above 0, that the mask "
    "moves hinders it",
    "left": "adaptive − full on the same images: what is left of the gain when the mask answers",
    "control": "a strategy that knows nothing about the object and must not win; set in italics",
    "leak∞": "share of images that stand when every kept pixel may take any value: class information in "
    "the mask's outline",
    "silhouette": "accuracy of a classifier that sees nothing but the mask",
    "margin": "best wrong logit minus right logit; above 0 the image is lost",
    "oracle": "a mask that comes from the annotation or the label, which a deployed system does not have",
    "reportable": "every check that applies has passed",
    "upper bound": "a warning, a check that did not run, an oracle, or a mask that moves and no attack tried to move",
    "invalid": "a fatal check failed; the number is not printed",
    "constant": "the network predicts one class for every image",
}
LIMITS = (
    "Robust accuracy is what the attacks of the list leave standing. A stronger attack can only lower it.",
    "Under access kept the mask is frozen at the clean image. In use, a mask that depends on the image answers the "
    "attacker, who may move it: only the adaptive access makes a security claim.",
    "Hardening is evidence for better features only as far as the mask's outline does not give the class away.",
    "Intervals are 95 %, for one quantity at a time. With one training seed they do not cover the luck of a training.",
    "The findings hold for this data set, this network and these radii.",
)
STAGES = (
    ("download", "data/raw", "images, labels, groups, exact masks where annotated"),
    ("segment", "data/segments", "foreground probability"),
    ("importance", "data/maps", "a rank for every pixel"),
    ("prune", "data/pruned", "kept pixels, one bit each; the silhouette classifier"),
    ("train", "models", "weights of the best validation epoch"),
    ("attack", "results", "one row an image × access × threat × eps × attack"),
    ("transfer", "transfer", "stored adversarial images of every run, tried on every other"),
    ("report", "report, metrics", "this page and its tables"),
)
STAGES_BESIDE = (
    ("defend", "defended", "what a defense learns of a network", "defenses"),
    ("attack_defended", "results_defended", "one row an image × way of attack on a defended network", "defenses"),
    ("measure", "measures", "what a measure finds in a run", "measures"),
)
"""Of studies that have these: stage, what it writes, what that is, and where the page shows it."""
