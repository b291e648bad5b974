# Figures of R's survey package for every frame of a folder: `<seed>.csv` in, `results.csv` out (seed, figure, value).
suppressPackageStartupMessages(library(survey))
options(digits = 17)

figures_of <- function(rows) {
  found <- list()
  put <- function(name, ...) {
    values <- c(...)
    found[paste0(name, ".", names(values))] <<- unname(values)
  }
  describe <- function(name, statistic, design) {
    ends <- confint(statistic, df = degf(design))
    put(name, value = coef(statistic)[[1]], se = SE(statistic)[[1]], df = degf(design), low = ends[1], high = ends[2])
  }

  full <- svydesign(ids = ~account, strata = ~region, fpc = ~accounts, weights = ~weight, data = rows, nest = TRUE)
  infinite <- svydesign(ids = ~account, strata = ~region, weights = ~weight, data = rows, nest = TRUE)
  weighted <- svydesign(ids = ~1, weights = ~weight, data = rows)
  segment <- subset(full, plan == "plus")

  for (name in c("full", "infinite", "weighted")) {
    describe(paste0("mean.", name), svymean(~score, get(name)), get(name))
  }
  put("mean.full", deff = deff(svymean(~score, full, deff = TRUE))[[1]])
  put("mean.infinite", deff = deff(svymean(~score, infinite, deff = "replace"))[[1]])
  describe("mean.segment", svymean(~score, segment), segment)
  put("mean.segment", deff = deff(svymean(~score, segment, deff = TRUE))[[1]])
  answered <- subset(full, !is.na(optional))
  describe("mean.answered", svymean(~optional, answered), answered)
  describe("total.full", svytotal(~spend, full), full)
  put("total.full", deff = deff(svytotal(~spend, full, deff = TRUE))[[1]])
  describe("total.segment", svytotal(~spend, segment), segment)
  describe("ratio.full", svyratio(~spend, ~visits, full), full)
  describe("net.full", svymean(~signed, full), full)

  by_plan <- svyby(~signed, ~plan, full, svymean, covmat = TRUE)
  apart <- svycontrast(by_plan, c(plus = 1, basic = -1))
  put("difference", value = coef(apart)[[1]], se = SE(apart)[[1]])

  for (method in c("logit", "beta")) {
    for (name in c("full", "segment")) {
      share <- svyciprop(~solved, get(name), method = method)
      ends <- confint(share)
      put(paste("share", method, name, sep = "."), value = coef(share)[[1]], low = ends[1], high = ends[2])
    }
  }

  for (name in c("full", "segment")) {
    test <- svychisq(~grade + channel, get(name), statistic = "F")
    put(paste0("independence.", name), f = test$statistic[[1]], ndf = test$parameter[[1]], ddf = test$parameter[[2]],
        p = test$p.value[[1]])
  }

  plans <- data.frame(plan = c("basic", "plus", "premium"), Freq = c(4000, 3500, 2500))
  channels <- data.frame(channel = c("app", "phone", "web"), Freq = c(5000, 2000, 3000))
  raked <- rake(infinite, list(~plan, ~channel), list(plans, channels), control = list(maxit = 500, epsilon = 1e-13))
  put("raked", setNames(weights(raked), rows$id))
  totals <- c(`(Intercept)` = 10000, planplus = 3500, planpremium = 2500, channelphone = 2000, channelweb = 3000)
  calibrated <- calibrate(infinite, ~plan + channel, totals, calfun = "raking", epsilon = 1e-12, maxit = 200)
  describe("mean.raked", svymean(~score, calibrated), calibrated)
  segment <- subset(calibrated, region == "north")
  put("mean.raked_segment", value = coef(svymean(~score, segment))[[1]], se = SE(svymean(~score, segment))[[1]])
  cells <- as.data.frame(table(plan = rows$plan, channel = rows$channel))
  cells$Freq <- cells$Freq * 7 + 3
  put("post_stratified", setNames(weights(postStratify(infinite, ~plan + channel, cells)), rows$id))
  found
}

folder <- commandArgs(trailingOnly = TRUE)[1]
results <- do.call(rbind, lapply(list.files(folder, "^[0-9]+[.]csv$"), function(file) {
  found <- figures_of(read.csv(file.path(folder, file)))
  data.frame(seed = sub(".csv", "", file, fixed = TRUE), figure = names(found), value = unlist(found))
}))
write.csv(results, file.path(folder, "results.csv"), row.names = FALSE)
