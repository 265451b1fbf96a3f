from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arena", "0013_job_kind_check")]

    operations = [
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("generate", "generate responses"),
                    ("train", "training run"),
                    ("export", "export a data set"),
                    ("analysis", "analyse a leaderboard"),
                    ("judge", "ask a judge"),
                    ("check", "check a contestant"),
                    ("curate", "choose votes by a reward model"),
                    ("demo_models", "build the demo's models"),
                ],
                max_length=12,
            ),
        ),
    ]
