"""The command `ganscope`: what can be said on the command line, and how errors are told.

Commands are declared here and carried out in the other modules of this room, which are imported when a command needs
them: `ganscope --help` must not wait for NumPy.
"""

import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ganscope.cli.factory import UserCodeError
from ganscope.cli.interrupts import repeated
from ganscope.core.caches import prepare_jax
from ganscope.core.errors import NotApplicable, ParameterError, StoreError

# Matrices are small here, and a BLAS with many threads makes them wait for each other; the engines have threads of
# their own. Whoever sets these variables has the say.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
prepare_jax()

DONE, DIFFERENT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class _Guarded(TyperGroup):
    """Commands whose foreseeable errors are one line on standard error, and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            typer.echo("ganscope: interrupted" + (f"; {interrupt}" if str(interrupt) else ""), err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (ParameterError, StoreError, NotApplicable, UserCodeError, MemoryError, OSError) as error:
            if isinstance(error, BrokenPipeError):  # whoever read our output has gone, as `head` does
                raise
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            text = " ".join(str(error).split()) or type(error).__name__
            typer.echo(f"ganscope: error: {'not enough memory: ' * isinstance(error, MemoryError)}{text}", err=True)
            raise typer.Exit(BAD_INPUT) from None


app = typer.Typer(
    cls=_Guarded,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
ExperimentFile = Annotated[Path, typer.Argument(metavar="FILE.toml", help="Experiment file.", show_default=False)]


def _show_version(wanted: bool) -> None:
    if wanted:
        from ganscope.core.version import package_version

        typer.echo(f"ganscope {package_version()}")
        raise typer.Exit


@app.callback()
def ganscope(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Predict, simulate and compare how GAN training behaves.

    \b
    Exit status: 0 done; 1 outcomes differ, a claim or a check failed; 2 bad input; 130 interrupted.
    """
    del debug, version


@app.command()
def run(
    file: ExperimentFile,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to save.", show_default="runs/ and the file's name")
    ] = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Run anew and replace what DIR holds.")] = False,
) -> None:
    """Predict, simulate, compare, classify, save and draw.

    Every level that the file asks for is simulated. One that DIR already holds, made by the same experiment, is
    reused: an interrupted run goes on where it was. Exit status 1 if two outcomes differ and neither is undecided or
    near critical.
    """
    from ganscope.cli.run import run_file

    raise typer.Exit(run_file(file, out, as_json, force))


@app.command()
def predict(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE.toml|DATA",
            help="Experiment file; or a .npy or .csv file whose rows are points, or digits.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
    components: Annotated[
        int | None,
        typer.Option(metavar="D", help="Principal components to keep.", show_default="all up to 16, otherwise 10"),
    ] = None,
    standardize: Annotated[
        bool | None, typer.Option("--standardize", help="Divide every column by its deviation.")
    ] = None,
    constant_columns: Annotated[
        str | None,
        typer.Option(metavar="keep|refuse", help="What to do with columns that never vary.", show_default="refuse"),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="LABELS", help="A .npy or .csv file, a number per row: the classes' means are the points."
        ),
    ] = None,
    images: Annotated[
        bool | None, typer.Option("--images/--means", help="Of the digits.", show_default="the ten class means")
    ] = None,
    generated: Annotated[
        int | None, typer.Option(metavar="N", help="Generated points.", show_default="as many as true ones")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="near|random",
            help="Where they start: beside true points, or normal with the mean and covariance of the data.",
            show_default="near",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the start.", show_default="0")] = None,
    kernel: Annotated[
        str | None, typer.Option(metavar="NAME", help="Kernel of the discriminator.", show_default="RBF")
    ] = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTH",
            help="A number, auto, or median, min, min/3 ... of the distances between true points.",
            show_default="auto",
        ),
    ] = None,
    regularization: Annotated[
        str | None, typer.Option(metavar="NUMBER|auto", help="Of the discriminator.", show_default="auto")
    ] = None,
    generator_lr: Annotated[
        str | None, typer.Option(metavar="RATE|auto", help="Learning rate of the points.", show_default="auto")
    ] = None,
    discriminator_lr: Annotated[
        float | None, typer.Option(metavar="RATE", help="Learning rate of the discriminator.", show_default="0.2")
    ] = None,
    rule: Annotated[str | None, typer.Option(metavar="RULE", help="Update rule.", show_default="alternating")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write an experiment file, arrays beside it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.toml and its arrays.")] = False,
) -> None:
    """Say what theory expects, without simulating.

    Of an experiment file; or of a GAN with a kernel discriminator on your own points: whether and how fast it
    converges, with which bandwidth and learning rates. All options but --json are for points.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name not in ("what", "as_json", "out", "force") and value is not None
    }
    if what != "digits" and Path(what).suffix not in (".npy", ".csv"):
        from ganscope.cli.predict import predict_file, refuse_options

        refuse_options(given | ({"out": str(out)} if out else {}) | ({"force": True} if force else {}))
        raise typer.Exit(predict_file(Path(what), as_json))
    from ganscope.cli.predict_data import Options, predict_data

    raise typer.Exit(predict_data(what, Options(**given), as_json, out, force))


@app.command()
def sweep(
    file: ExperimentFile,
    out: Annotated[
        Path | None,
        typer.Option(metavar="STORE.zarr", help="Where to save.", show_default="runs/ and the file's name"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes on this machine, 0 for none.", show_default="by the work"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler, or local for one of N workers here."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with STORE; its grid may have grown.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="With --resume: measure failed cells again.")] = False,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="With --resume: keep what another version computed.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start anew and replace STORE.")] = False,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop a cell that takes longer.", show_default="none")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Start even if it takes days or fills disks.")] = False,
    variant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which one to sweep, in a file with variants.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Map a phase diagram: the [sweep] section of FILE.toml.

    Every finished tile is kept: after a crash or Ctrl-C, --resume goes on. ganscope show STORE.zarr shows what there
    is, also while a sweep is running.
    """
    from ganscope.cli.sweep import sweep_file

    options: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "resume": resume, "retry": retry}
    options |= {"any_version": any_version, "force": force, "time_limit": time_limit, "confirm": yes}
    raise typer.Exit(sweep_file(file, out, variant, options, as_json))


@app.command()
def fit(
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A .npy or .csv file (rows are samples), or digits.", show_default=False),
    ],
    features: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Components that become features.", show_default="by the noise floor; digits: 2"
        ),
    ] = None,
    noise: Annotated[
        float,
        typer.Option(
            "--noise", "--added-noise", metavar="VARIANCE", help="Variance of noise added to the scaled data."
        ),
    ] = 0.0,
    scale: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Factor on the data.", show_default="leading variance becomes 5"),
    ] = None,
    constant_columns: Annotated[
        str | None,
        typer.Option(
            metavar="keep|refuse",
            help="What to do with columns that never vary.",
            show_default="refuse; digits: keep those without signal",
        ),
    ] = None,
    discriminator_lr: Annotated[float, typer.Option(metavar="RATE", help="Learning rate of the discriminator.")] = 0.2,
    generator_lr: Annotated[float, typer.Option(metavar="RATE", help="Learning rate of the generator.")] = 0.04,
    as_json: Json = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the fitted game as an experiment file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.toml.")] = False,
) -> None:
    """Fit the solvable model to real data and predict.

    Says at which noise training would succeed, for the fitted features alone and for the data as they are.
    """
    from ganscope.cli.fit import fit_data

    options = {"discriminator_lr": discriminator_lr, "generator_lr": generator_lr}
    raise typer.Exit(fit_data(data, features, noise, scale, constant_columns, options, as_json, out, force))


@app.command()
def diagnose(
    game: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:FACTORY",
            help="A function in a file of yours that returns a gs.RealGame.",
            show_default=False,
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Weights, for FACTORY(checkpoint) or loaded into the game.", show_default="none"
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="LOG", help="The log of the run's gs.Monitor.", show_default="none"),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write the page.", show_default="none")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the report and its page.", show_default="none"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One small measurement, no forks.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as modes=12; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of everything random.", show_default="0")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what DIR holds.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a real GAN will do next, why, and what to change.

    FILE.py is imported, FACTORY is called without arguments, or with checkpoint=PATH if it has that argument.
    From 40 records of its monitor on, what the run did so far counts. ganscope show DIR tells a kept report again.

    For example: ganscope diagnose train.py:game --checkpoint last.pt --html page.html
    """
    from ganscope.cli.diagnose import diagnose_file, read_settings

    options = read_settings(settings or [], seed)
    status = diagnose_file(
        game, checkpoint, options, quick=quick, history=history, html=html, out=out, force=force, as_json=as_json
    )
    raise typer.Exit(status)


@app.command()
def show(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A saved run, a folder of runs, a sweep's store, or a diagnosis (.json).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Where to draw.", show_default="beside the run")
    ] = None,
    animate: Annotated[bool, typer.Option("--animate", help="Write a moving picture, a GIF, of particles.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE.nc|FILE.csv", help="Write the results as NetCDF or as a table.", show_default=False),
    ] = None,
    as_json: Json = False,
    x: Annotated[str | None, typer.Option("--x", metavar="NAME", help="Of a sweep: horizontal axis.")] = None,
    y: Annotated[str | None, typer.Option("--y", metavar="NAME", help="Of a sweep: vertical axis.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="NAME=VALUE", help="Of a sweep: value of a further axis; may be repeated."),
    ] = None,
    variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of a sweep: an observable to draw, such as w2 or recovery[0]."),
    ] = None,
    theory: Annotated[
        bool | None,
        typer.Option(
            "--theory/--no-theory",
            help="Of a simulated sweep: compare it with theory.",
            show_default="if that is quick",
        ),
    ] = None,
) -> None:
    """Summarise saved runs, sweeps and diagnoses and draw them again; animate runs, export results.

    A sweep that is still running shows what is finished.
    """
    from ganscope.cli.show import animate_path, read_places, show_path

    view: dict[str, Any] = {"x": x, "y": y, "at": read_places(at or []), "variable": variable}
    if theory is not None:
        view["theory"] = theory
    if animate:
        raise typer.Exit(animate_path(path, out))
    raise typer.Exit(show_path(path, out, export, as_json, **view))


@app.command()
def claims(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL[:ID]", help="Default: all.", show_default=False)
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Only the claims that take seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Check the numbered claims against their tolerances.

    For example: ganscope claims solvable:S5
    """
    from ganscope.cli.claims import check_claims

    raise typer.Exit(check_claims(names or [], fast, as_json))


@app.command()
def agreement(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL[:NAME]", help="Default: all.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the diagrams and compute none.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Only a few cells of each.")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to keep them.")] = Path("runs/agreement"),
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes on this machine, 0 for none.", show_default="by the work"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute anew what DIR holds.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Bring the numbers of this document up to date.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Map phase diagrams by theory and simulation, and count where they agree.

    What DIR holds of them is kept and gone on with. Exit status 1 if a share is below the one that the diagram states.
    For example: ganscope agreement kernel
    """
    from ganscope.cli.agreement import list_diagrams, report

    if listed:
        raise typer.Exit(list_diagrams(names or []))
    status = report(names or [], out, fast=fast, workers=workers, force=force, document=write, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def figure(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL[:ID]", help="Default: all.", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the figures and draw none.")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to put them.")] = Path("figures"),
) -> None:
    """Rebuild the papers' figures.

    For example: ganscope figure solvable:F1
    """
    from ganscope.cli.figure import draw_figures

    raise typer.Exit(draw_figures(names or [], listed, out))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check versions, numerical canaries, cores and caches."""
    from ganscope.cli.doctor import examine

    raise typer.Exit(examine(as_json))


_warned: set[str] = set()


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as one line on standard error, said once."""
    text = " ".join(str(message).split())
    if text not in _warned:
        _warned.add(text)
        typer.echo(f"ganscope: warning: {text}", err=True)


def main() -> None:
    """Entry point of the console script."""
    interrupts = []
    warnings.showwarning = _show_warning

    def interrupted(number: int, frame: Any) -> None:
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    try:
        with repeated():
            app(prog_name="ganscope")
    except KeyboardInterrupt:  # while the command line was still being read
        sys.exit(INTERRUPTED)
    except Exception:
        if interrupts:  # an import that was interrupted in compiled code fails with another error
            sys.exit(INTERRUPTED)
        raise


if __name__ == "__main__":
    main()
